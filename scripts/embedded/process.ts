import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

// Linux is read from /proc: small images have no `ps`, and its start time moves when the clock is set.
const linux = process.platform === 'linux'

function ps(field: string, pid: number): string | undefined {
  try {
    return execFileSync('ps', ['-o', `${field}=`, '-p', String(pid)], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      env: { LC_ALL: 'C', PATH: '/usr/bin:/bin' },
    }).trim()
  } catch {
    return undefined
  }
}

function proc(path: string): string | undefined {
  try {
    return readFileSync(`/proc/${path}`, 'utf8')
  } catch {
    return undefined
  }
}

/** When the process with this number started, in a form only to be compared; undefined when there is none. */
export function startOf(pid: number): string | undefined {
  if (!linux) return ps('lstart', pid) || undefined
  // proc(5): the name, field 2, may hold blanks and brackets; the state follows it, the start is field 22.
  const fields = proc(`${pid}/stat`)?.split(') ').at(-1)?.split(' ')
  const started = fields?.[19]
  if (!started || fields[0] === 'Z') return undefined
  return `${proc('sys/kernel/random/boot_id')?.trim() ?? ''} ${started}`
}

/** Program and arguments of the process with this number; empty when there is none. */
export function commandOf(pid: number): string {
  return (linux ? proc(`${pid}/cmdline`)?.replaceAll('\0', ' ') : ps('command', pid)) ?? ''
}
