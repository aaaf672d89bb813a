import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Account } from './account.js'
import type { Location } from './location.js'
import { commandOf } from './process.js'

/**
 * Clears what a killed start left behind: a PostgreSQL that outlived its supervisor is stopped in order, a
 * lock file whose number is another program's by now is removed. One whose process is gone is left to
 * PostgreSQL, which then also looks for server processes that are still attached.
 */
export function clearLeftover(
  { bin, data }: Location,
  account: Account | undefined,
  log: (line: string) => void,
): void {
  const lock = join(data, 'postmaster.pid')
  if (!existsSync(lock)) return
  const pid = Number.parseInt(readFileSync(lock, 'utf8'), 10)
  const command = pid > 0 ? commandOf(pid) : ''
  if (command.includes(data)) {
    log(`stopping the PostgreSQL (pid ${pid}) that an interrupted run left behind`)
    for (const mode of ['fast', 'immediate']) {
      const args = ['stop', '-D', data, '-m', mode, '-w', '-t', '20', '-s']
      if (spawnSync(join(bin, 'pg_ctl'), args, { ...account, cwd: '/' }).status === 0) return
    }
    if (commandOf(pid).includes(data))
      throw new Error(`The PostgreSQL with pid ${pid} on ${data} cannot be stopped`)
  }
  // An empty file is one whose writing was interrupted: PostgreSQL would refuse to guess.
  else if (command !== '' || Number.isNaN(pid)) rmSync(lock, { force: true })
}
