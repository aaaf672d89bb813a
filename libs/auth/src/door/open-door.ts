import type { Pool } from 'pg'
import type { Logger } from 'pino'
import { z } from 'zod'
import { type Budgets, RateLimits } from '../limits/budgets.js'
import { openLimits } from '../limits/limits.js'
import { auditDenials } from './denials.js'
import type { Door } from './door.guard.js'

/** Settings of a service's door: `RATE_LIMITS` is JSON of requests a minute, e.g. `{"predict":2000}`. */
export const doorSettings = {
  /** Budgets are counted there where it is set; in PostgreSQL otherwise. */
  REDIS_URL: z.url({ protocol: /^rediss?$/ }).optional(),
  RATE_LIMITS: RateLimits,
}

interface DoorConfig {
  DATABASE_URL: string
  REDIS_URL?: string | undefined
  RATE_LIMITS: Budgets
}

/** The door of a service: budgets for its callers, an entry for those who try what is not theirs. */
export function openDoor(
  service: 'fraud' | 'imaging' | 'compliance',
  pool: Pool,
  config: DoorConfig,
  logger: Logger,
): Required<Door> & { close(): Promise<void> } {
  const limits = openLimits({
    service,
    databaseUrl: config.DATABASE_URL,
    redisUrl: config.REDIS_URL,
    budgets: config.RATE_LIMITS,
    logger,
  })
  return { limits, denials: auditDenials(pool, service), close: () => limits.close() }
}
