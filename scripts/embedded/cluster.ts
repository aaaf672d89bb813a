import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { chownSync, closeSync, existsSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Account } from './account.js'
import type { Location } from './location.js'
import { openLog } from './log-file.js'
import { secretIn, writeSecret } from './secret.js'

/** The superuser's name: used by migrations and tools, never by a service. */
export const ADMIN = 'vigil_admin'
export const HOST = '127.0.0.1'

// A minimal environment: PGDATA, PGOPTIONS or a locale of whoever starts us must not reach the server.
const ENV = { LC_ALL: 'C', PATH: '/usr/bin:/bin' }

/** Creates the cluster under another name first, so that an interrupted initdb is never taken for a cluster. */
function initialise({ bin, data }: Location, account: Account | undefined, password: string): void {
  const draft = `${data}.draft`
  const passwordFile = `${data}.password`
  rmSync(draft, { recursive: true, force: true })
  writeSecret(passwordFile, password)
  if (account) chownSync(passwordFile, account.uid, account.gid)
  const choices = ['-A', 'scram-sha-256', '--locale=C', '--encoding=UTF8']
  const args = ['-D', draft, '-U', ADMIN, `--pwfile=${passwordFile}`, ...choices]
  const { status, stderr } = spawnSync(join(bin, 'initdb'), args, {
    ...account,
    cwd: '/',
    env: ENV,
    encoding: 'utf8',
  })
  rmSync(passwordFile, { force: true })
  if (status !== 0) throw new Error(`initdb failed: ${stderr}`)
  renameSync(draft, data)
}

/** Makes sure that there is a cluster, and answers its superuser's password. */
export function ensureCluster(location: Location, account: Account | undefined, secretFile: string): string {
  const exists = existsSync(location.data)
  if (exists && !existsSync(secretFile))
    throw new Error(
      `The database in ${location.data} is there, its password in ${secretFile} is not: restore it`,
    )
  const password = secretIn(secretFile)
  if (!exists) initialise(location, account, password)
  return password
}

const SETTINGS = {
  listen_addresses: HOST,
  unix_socket_directories: '',
  max_connections: '200',
  shared_buffers: '256MB',
  max_wal_size: '4GB',
  lc_messages: 'C',
  log_timezone: 'UTC',
  timezone: 'UTC',
  // Statements and their parameters may hold personal data: they stay out of the log.
  log_min_error_statement: 'panic',
  log_parameter_max_length_on_error: '0',
}

/** Stops the server when we die without having said so: the pipe to us then closes. */
function guard(pid: number, account: Account | undefined): ChildProcess {
  const script = 'read -r _; kill -INT "$1"'
  const child = spawn('/bin/sh', ['-c', script, 'vigil-guard', String(pid)], {
    ...account,
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
    env: ENV,
  })
  child.unref()
  return child
}

/** Starts the server process; it ends when this process does. */
export function launch(
  { bin, data }: Location,
  account: Account | undefined,
  port: number,
  logFile: string,
): ChildProcess {
  const settings = Object.entries({ ...SETTINGS, port }).flatMap(([name, value]) => [
    '-c',
    `${name}=${value}`,
  ])
  const output = openLog(logFile)
  // Detached: Ctrl-C in a terminal reaches the whole process group, and the database must be stopped last.
  const child = spawn(join(bin, 'postgres'), ['-D', data, ...settings], {
    ...account,
    cwd: '/',
    detached: true,
    stdio: ['ignore', output, output],
    env: ENV,
  })
  closeSync(output)
  if (child.pid) {
    const watch = guard(child.pid, account)
    child.once('exit', () => watch.kill('SIGKILL'))
  }
  return child
}
