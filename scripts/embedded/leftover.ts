import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Account } from './account.js'
import type { Location } from './location.js'

function commandOf(pid: number): string {
  try {
    return execFileSync('ps', ['-o', 'command=', '-p', String(pid)], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
  } catch {
    return readFileIfAny(`/proc/${pid}/cmdline`).replaceAll('\0', ' ')
  }
}

function readFileIfAny(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

/**
 * Clears what a killed start left behind: a PostgreSQL that outlived its supervisor is stopped in order, a
 * lock file whose process is gone (or whose number is another program's by now) is removed.
 */
export function clearLeftover(
  { bin, data }: Location,
  account: Account | undefined,
  log: (line: string) => void,
): void {
  const lock = join(data, 'postmaster.pid')
  if (!existsSync(lock)) return
  const pid = Number.parseInt(readFileSync(lock, 'utf8'), 10)
  if (pid > 0 && commandOf(pid).includes(data)) {
    log(`stopping the PostgreSQL (pid ${pid}) that an interrupted run left behind`)
    for (const mode of ['fast', 'immediate']) {
      const args = ['stop', '-D', data, '-m', mode, '-w', '-t', '20', '-s']
      if (spawnSync(join(bin, 'pg_ctl'), args, { ...account, cwd: '/' }).status === 0) return
    }
    throw new Error(`The PostgreSQL with pid ${pid} on ${data} cannot be stopped`)
  }
  rmSync(lock, { force: true })
}
