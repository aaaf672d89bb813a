import type { Pool } from 'pg'
import type { Logger } from 'pino'

const EVERY_MS = 3_600_000
const MONTHS_AHEAD = 3

/** Makes the partitions of the months to come, now and every hour, until it is stopped. */
export function keepPartitions(pool: Pool, logger: Logger): { stop(): void } {
  const make = () =>
    pool
      .query('SELECT fraud.ensure_partitions($1)', [MONTHS_AHEAD])
      .catch((err: unknown) => logger.error({ err }, 'the partitions of the coming months could not be made'))
  void make()
  const timer = setInterval(make, EVERY_MS)
  timer.unref()
  return { stop: () => clearInterval(timer) }
}
