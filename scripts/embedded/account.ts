import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** The user that PostgreSQL runs as, where that is not the user who started us. */
export interface Account {
  uid: number
  gid: number
}

function lookUp(name: string): Account | undefined {
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((entry) => entry.startsWith(`${name}:`))
  const [, , uid, gid] = line?.split(':') ?? []
  return uid && gid ? { uid: Number(uid), gid: Number(gid) } : undefined
}

/**
 * PostgreSQL refuses to run as root, so that root steps down to `postgres` or, where there is no such user, to
 * `nobody`. No user is created and nothing of the system is changed.
 */
export function serverAccount(): Account | undefined {
  if (process.getuid?.() !== 0) return undefined
  const account = lookUp('postgres') ?? lookUp('nobody')
  if (!account)
    throw new Error(
      'Running as root, and there is neither a user "postgres" nor "nobody" to run PostgreSQL as',
    )
  return account
}

/** Whether the account can enter a folder: every folder above it must let it pass. */
export function canReach(folder: string, account: Account | undefined): boolean {
  if (!account) return true
  const { status, error } = spawnSync('/bin/sh', ['-c', 'cd "$1"', 'sh', folder], { ...account, cwd: '/' })
  if (error)
    throw new Error(
      `Running as root, and not allowed to start a program as user ${account.uid} (${error.message}): run Vigil as an ordinary user, or set DATABASE_URL`,
    )
  return status === 0
}

/** Whether the account can start a program, with the libraries that it needs. */
export function canRun(program: string, account: Account | undefined): boolean {
  return !account || spawnSync(program, ['--version'], { ...account, cwd: '/', stdio: 'ignore' }).status === 0
}
