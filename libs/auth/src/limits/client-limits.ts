import type { Logger } from 'pino'
import { createPool } from '#libs/platform'
import type { Principal } from '../principal.js'
import type { BudgetName } from './budgets.js'

/** Budgets of single clients that differ from the common ones. */
export interface ClientLimits {
  limitOf(caller: Principal, budget: BudgetName): number | undefined
  close(): Promise<void>
}

const READ_EVERY_MS = 15_000
const keyOf = (tenant: string, clientId: string, budget: string) => JSON.stringify([tenant, clientId, budget])

interface Row {
  tenant: string
  client_id: string
  budget: string
  per_minute: number
}

/** Reads the table `access.client_limit` now and every 15 s; while that fails, what was read last holds. */
export function watchClientLimits(databaseUrl: string, logger: Logger): ClientLimits {
  const pool = createPool(databaseUrl, { applicationName: 'vigil-limits', max: 1, logger })
  let limits = new Map<string, number>()
  let closed = false
  const read = async () => {
    try {
      const { rows } = await pool.query<Row>(
        'SELECT tenant, client_id, budget, per_minute FROM access.client_limit',
      )
      limits = new Map(rows.map((row) => [keyOf(row.tenant, row.client_id, row.budget), row.per_minute]))
    } catch (err) {
      if (!closed) logger.debug({ err }, 'budgets of clients not read')
    }
  }
  void read()
  const timer = setInterval(read, READ_EVERY_MS)
  timer.unref()
  return {
    limitOf: ({ tenant, clientId }, budget) =>
      limits.size === 0 ? undefined : limits.get(keyOf(tenant, clientId, budget)),
    close: async () => {
      closed = true
      clearInterval(timer)
      await pool.end()
    },
  }
}
