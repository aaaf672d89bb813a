import type pg from 'pg'
import { Gauge } from 'prom-client'
import { inTransaction, metrics } from '#libs/platform'
import { growTiles } from './merkle/growth.js'
import { HASH_LENGTH } from './merkle/hash.js'
import type { Publisher } from './publisher.js'
import { pendingAge, placePending, readUnfinished, writeTiles } from './tree.sql.js'

const BATCH = 8192

const pendingAgeGauge = new Gauge({
  name: 'audit_pending_age_seconds',
  help: 'Age of the oldest audit entry that has no place in the tree yet',
  registers: [metrics],
})
const treeSizeGauge = new Gauge({
  name: 'audit_tree_size',
  help: 'Entries in the audit tree',
  registers: [metrics],
})

/**
 * Gives one batch of pending entries their places and extends the tree's tiles, all in one transaction. Returns how
 * many entries that were. A second sequencer waits for the row lock.
 */
export async function sequenceBatch(pool: pg.Pool, limit = BATCH): Promise<number> {
  return inTransaction(pool, async (client) => {
    const { size, leaves } = await placePending(client, limit)
    const count = leaves.length / HASH_LENGTH
    treeSizeGauge.set(size + count)
    if (count === 0) return 0
    await writeTiles(client, growTiles(await readUnfinished(client, size), size, leaves))
    return count
  })
}

interface Options {
  pool: pg.Pool
  publisher: Publisher
  intervalMs: number
  /** Told about every failure, and with undefined when all is well again; the next tick tries again. */
  onState: (error: unknown) => void
}

/** A sequencer at work. */
export interface Sequencer {
  stop(): Promise<void>
}

const PARTITIONS_EVERY_MS = 3_600_000

/** Sequences and publishes until it is stopped. */
export function startSequencer({ pool, publisher, intervalMs, onState }: Options): Sequencer {
  let stopped = false
  let wake = () => {}
  let examined = false
  let partitionsAt = 0

  const ensurePartitions = async () => {
    if (Date.now() < partitionsAt) return
    await pool.query('SELECT audit.ensure_partitions(3)')
    partitionsAt = Date.now() + PARTITIONS_EVERY_MS
  }
  const sequence = async () => {
    // After a failure too: the database may have been another one since.
    await (examined ? publisher.refuseRollback() : publisher.examine())
    examined = true
    while ((await sequenceBatch(pool)) === BATCH && !stopped);
    await publisher.publish()
  }
  const tick = async () => {
    const results = [await settled(sequence), await settled(ensurePartitions)]
    const failure = results.find((result) => result.failed)
    if (results[0]!.failed) examined = false
    onState(failure?.error)
    pendingAgeGauge.set(await pendingAge(pool).catch(() => Number.NaN))
  }
  const run = async () => {
    while (!stopped) {
      await tick()
      if (stopped) return
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, intervalMs)
        wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }
  const running = run()
  return {
    async stop() {
      stopped = true
      wake()
      await running
    },
  }
}

async function settled(work: () => Promise<void>): Promise<{ failed: boolean; error?: unknown }> {
  try {
    await work()
    return { failed: false }
  } catch (error) {
    return { failed: true, error }
  }
}
