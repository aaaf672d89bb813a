import { createHash } from 'node:crypto'
import { Redis } from 'ioredis'
import pg from 'pg'
import {
  type RateLimiterAbstract,
  RateLimiterMemory,
  RateLimiterPostgres,
  RateLimiterRedis,
} from 'rate-limiter-flexible'
import { type Count, type Counter, WINDOW_MS } from './lease.js'

/** A counter with connections of its own. */
export interface OpenCounter extends Counter {
  close(): Promise<void>
}

/** How long a store may take to answer; a store that is slower is as good as down. */
const PATIENCE_MS = 1_000
// The limiters count and keep the window; what is too much is decided where the budget is known.
const counting = { points: 2 ** 31 - 1, duration: WINDOW_MS / 1000 }

/** Clients and addresses are stored as a hash: fixed length, and no address book of who calls. */
const stored = (key: string): string => createHash('sha256').update(key).digest('base64url')

const count = async (limiter: RateLimiterAbstract, key: string, points: number): Promise<Count> => {
  const { consumedPoints, msBeforeNext } = await limiter.consume(stored(key), points)
  return { consumed: consumedPoints, msLeft: msBeforeNext }
}

/** Counts in this process alone. */
export function memoryCounter(): Counter {
  const limiter = new RateLimiterMemory(counting)
  return { take: (key, points) => count(limiter, key, points) }
}

/** Counts in the table `access.rate`, which is not logged: after a crash of the database budgets begin anew. */
export function postgresCounter(url: string): OpenCounter {
  const pool = new pg.Pool({
    connectionString: url,
    application_name: 'vigil-limits',
    max: 2,
    connectionTimeoutMillis: PATIENCE_MS,
    query_timeout: PATIENCE_MS,
    statement_timeout: PATIENCE_MS,
  })
  pool.on('error', () => undefined)
  const limiter = new RateLimiterPostgres({
    ...counting,
    storeClient: pool,
    schemaName: 'access',
    tableName: 'rate',
    tableCreated: true,
    keyPrefix: '',
  })
  return { take: (key, points) => count(limiter, key, points), close: () => pool.end() }
}

/** Counts in Redis; a command that cannot be sent now fails now. */
export function redisCounter(url: string): OpenCounter {
  const redis = new Redis(url, {
    connectionName: 'vigil-limits',
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    connectTimeout: PATIENCE_MS,
    commandTimeout: PATIENCE_MS,
    retryStrategy: () => 1_000,
  })
  redis.on('error', () => undefined)
  // Whoever comes while the first connection is made waits for it.
  const connected = Promise.race([
    new Promise((resolve) => redis.once('ready', resolve)),
    new Promise((resolve) => setTimeout(resolve, PATIENCE_MS).unref()),
  ])
  const limiter = new RateLimiterRedis({ ...counting, storeClient: redis, keyPrefix: 'vigil:limit' })
  return {
    take: async (key, points) => {
      await connected
      return count(limiter, key, points)
    },
    close: async () => redis.disconnect(),
  }
}

const ASK_AGAIN_MS = 1_000

/**
 * Counts in `shared`, and in `local` while that cannot: for a second after each failure it is not even asked, so that
 * a store that hangs holds up one request a second. `told` hears of every change.
 */
export function insuredCounter(shared: Counter, local: Counter, told: (isUp: boolean) => void): Counter {
  const asked = watchedCounter(shared, told)
  let downUntil = 0
  return {
    async take(key, points) {
      if (Date.now() < downUntil) return local.take(key, points)
      try {
        return await asked.take(key, points)
      } catch {
        downUntil = Date.now() + ASK_AGAIN_MS
        return local.take(key, points)
      }
    },
  }
}

/** A counter that tells when it stops and when it resumes to answer. */
export function watchedCounter(shared: Counter, told: (isUp: boolean) => void): Counter {
  let isUp = true
  const tell = (now: boolean) => {
    if (now !== isUp) told(now)
    isUp = now
  }
  return {
    async take(key, points) {
      try {
        const answer = await shared.take(key, points)
        tell(true)
        return answer
      } catch (error) {
        tell(false)
        throw error
      }
    },
  }
}
