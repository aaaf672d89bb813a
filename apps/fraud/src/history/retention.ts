import type { Pool } from 'pg'
import type { Logger } from 'pino'
import { appendAudit } from '#libs/audit'
import { inTransaction, newId } from '#libs/platform'

const DAY_MS = 86_400_000
const IDS_AT_ONCE = 10_000
/** The tenant that the entry of what concerns all of them belongs to. */
const EVERYBODY = 'default'

/** What retention took away. */
export interface Dropped {
  before: string
  payments: number
  months: string[]
}

/** The first instant of the month in which a time lies: months are dropped whole. */
const monthOf = (at: number): Date => {
  const day = new Date(at)
  return new Date(Date.UTC(day.getUTCFullYear(), day.getUTCMonth(), 1))
}

/**
 * Drops the months that lie wholly more than `days` back (90 at least): ids and labels in small transactions, then
 * the partitions and the audit entry in one. Interrupted, it goes on the next time. Decisions under way do not wait.
 */
export async function dropOldPayments(pool: Pool, days: number, now: number): Promise<Dropped> {
  const before = monthOf(now - days * DAY_MS).toISOString()
  let payments = 0
  for (let freed = IDS_AT_ONCE; freed === IDS_AT_ONCE; payments += freed) {
    const { rows } = await pool.query<{ freed: number }>('SELECT fraud.forget_ids($1, $2) AS freed', [
      before,
      IDS_AT_ONCE,
    ])
    freed = rows[0]!.freed
  }
  const months = await inTransaction(pool, async (client) => {
    const { rows } = await client.query<{ months: string[] }>('SELECT fraud.drop_months($1) AS months', [
      before,
    ])
    const dropped = rows[0]!.months
    if (payments + dropped.length > 0)
      await appendAudit(client, {
        tenant: EVERYBODY,
        service: 'fraud',
        actor: { type: 'system', id: 'fraud-retention' },
        action: 'PAYMENTS_DROPPED',
        outcome: 'success',
        correlationId: newId(),
        details: { before, payments, partitions: dropped },
      })
    return dropped
  })
  return { before, payments, months }
}

/** Applies retention now and every day, until it is stopped. */
export function keepRetention(pool: Pool, days: number, logger: Logger): { stop(): void } {
  const apply = () =>
    dropOldPayments(pool, days, Date.now()).then(
      (dropped) => logger.info(dropped, 'retention applied'),
      (err: unknown) => logger.error({ err }, 'retention could not be applied'),
    )
  void apply()
  const timer = setInterval(apply, DAY_MS)
  timer.unref()
  return { stop: () => clearInterval(timer) }
}
