import type { Duplex } from 'node:stream'
import type pg from 'pg'
import { sqlState } from '#libs/platform'
import { timed } from './measures.js'

const IN_FAILED_TRANSACTION = '25P02'

/**
 * Waits for statements that were sent together. Where one fails all behind it fail for that: the cause is thrown, once
 * nothing is under way any more.
 */
export async function together<T extends readonly unknown[]>(
  statements: readonly [...{ [K in keyof T]: Promise<T[K]> }],
): Promise<T> {
  const ends = await Promise.allSettled(statements)
  const failures = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason as unknown] : []))
  if (failures.length > 0)
    throw failures.find((failure) => sqlState(failure) !== IN_FAILED_TRANSACTION) ?? failures[0]
  return ends.map((end) => (end as PromiseFulfilledResult<unknown>).value) as unknown as T
}

/** Ends a connection without a word: a server that stands still would not hear one. */
const cut = (client: pg.PoolClient) =>
  (client as unknown as { connection: { stream: Duplex } }).connection.stream.destroy()

/**
 * Runs work in a transaction. Statements of a connection in pipeline mode need not wait for each other. When the signal
 * is aborted the connection is cut.
 */
export async function inLane<T>(
  pool: pg.Pool,
  signal: AbortSignal,
  work: (client: pg.PoolClient) => Promise<T>,
): Promise<T> {
  const client = await pool.connect()
  const giveUp = () => cut(client)
  let broken: Error | undefined
  try {
    signal.throwIfAborted()
    signal.addEventListener('abort', giveUp)
    const [, result] = await together([client.query('BEGIN'), work(client)])
    await timed('commit', client.query('COMMIT'))
    return result
  } catch (error) {
    await client.query('ROLLBACK').catch((failure: Error) => {
      broken = failure
    })
    throw error
  } finally {
    signal.removeEventListener('abort', giveUp)
    client.release(broken)
  }
}
