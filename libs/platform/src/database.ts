import pg from 'pg'
import type { Logger } from 'pino'
import { traceStatements } from './traced-statements.js'

interface PoolOptions {
  applicationName: string
  max?: number
  /** Statements are sent without waiting for the answers of those before them. */
  pipeline?: boolean
  /** Told about a broken idle connection; the pool replaces it by itself. */
  logger?: Logger
}

/** A pool whose connections give up rather than hang: 5 s to connect, 30 s for a statement, 10 s for a lock. */
export function createPool(
  url: string,
  { applicationName, max = 16, pipeline = false, logger }: PoolOptions,
): pg.Pool {
  const pool = new pg.Pool({
    connectionString: url,
    application_name: applicationName,
    max,
    pipeline,
    connectionTimeoutMillis: 5_000,
    statement_timeout: 30_000,
    // A server that stands still does not end a statement. In pipeline mode there is no such limit: the caller has one.
    ...(pipeline ? {} : { query_timeout: 35_000 }),
    lock_timeout: 10_000,
    idle_in_transaction_session_timeout: 60_000,
  })
  pool.on('connect', (client) => {
    traceStatements(client)
    // Nobody else listens between two statements of a transaction: a lost connection would end the process.
    client.on('error', () => undefined)
  })
  pool.on('error', (err) => logger?.warn({ err }, 'idle database connection lost'))
  return pool
}

/**
 * Runs `work` in one transaction: committed when it resolves, rolled back when it throws. A connection whose
 * rollback fails is thrown away.
 */
export async function inTransaction<T>(
  pool: pg.Pool,
  work: (client: pg.PoolClient) => Promise<T>,
): Promise<T> {
  const client = await pool.connect()
  let broken: Error | undefined
  try {
    await client.query('BEGIN')
    const result = await work(client)
    await client.query('COMMIT')
    return result
  } catch (error) {
    await client.query('ROLLBACK').catch((failure: Error) => {
      broken = failure
    })
    throw error
  } finally {
    client.release(broken)
  }
}

/** SQLSTATE of a PostgreSQL error (appendix A of its manual), or undefined for any other error. */
export const sqlState = (error: unknown): string | undefined =>
  error instanceof pg.DatabaseError ? error.code : undefined

const UNREACHABLE = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOENT', 'EHOSTUNREACH'])

/** Whether an error means that the database cannot be reached or is going down, so that a retry may succeed. */
export function isUnavailable(error: unknown): boolean {
  const state = sqlState(error)
  if (state !== undefined) return /^(08|53|57P)/.test(state) || state === '55P03' || state === '57014'
  if (!(error instanceof Error)) return false
  const { code } = error as NodeJS.ErrnoException
  if (code !== undefined && UNREACHABLE.has(code)) return true
  return /Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error|Query read timeout/.test(
    error.message,
  )
}
