import { inTransaction, withCorrelation } from '#libs/platform'
import type { Imaging } from '../imaging.js'
import { queueDepth } from '../metrics.js'
import { knownBlobs, replaceJob, stalledImages } from '../storage/images.sql.js'

interface SweepSettings {
  intervalMs: number
  /** How long nothing must have happened to an image before its job is looked for. */
  stalledSeconds: number
  /** How old a file must be that nobody refers to. */
  garbageMs: number
}

const BATCH = 500
const COLLECT_EVERY_MS = 3_600_000

/** Gives every unfinished image whose job is gone a new one: nothing stays queued or processing for ever. */
export async function reviveImages(imaging: Imaging, stalledSeconds: number): Promise<number> {
  const { pool, queue, logger } = imaging
  let revived = 0
  for (const image of await stalledImages(pool, stalledSeconds, BATCH)) {
    if ((await queue.standing(image.jobId)) !== 'gone') continue
    const isRevived = await inTransaction(pool, async (client) => {
      const jobId = await queue.enqueue(client, { subject: image.correlationId })
      const replaced = await replaceJob(client, image, jobId)
      if (!replaced) throw new Moved()
      return true
    }).catch((error) => {
      if (error instanceof Moved) return false
      throw error
    })
    if (!isRevived) continue
    revived += 1
    withCorrelation({ correlationId: image.correlationId }, () =>
      logger.warn('job was lost: given a new one'),
    )
  }
  if (revived > 0) queue.relay()
  return revived
}

/** The image moved on while its job was looked for. */
class Moved extends Error {}

async function measureQueue({ queue }: Imaging): Promise<void> {
  for (const [state, count] of Object.entries(await queue.depth())) queueDepth.set({ state }, count)
}

/** Sweeps at once and then at intervals until stopped; a sweep that fails is made up for by the next. */
export function startSweeping(imaging: Imaging, settings: SweepSettings): { stop(): Promise<void> } {
  const { pool, store, logger } = imaging
  let collectedAt = 0
  const collect = async () => {
    if (Date.now() - collectedAt < COLLECT_EVERY_MS) return
    const removed = await store.collect((ids) => knownBlobs(pool, ids), settings.garbageMs, Date.now())
    collectedAt = Date.now()
    if (removed > 0) logger.info({ removed }, 'files that nobody refers to removed')
  }
  const sweep = async () => {
    for (const task of [
      () => reviveImages(imaging, settings.stalledSeconds),
      collect,
      () => measureQueue(imaging),
    ])
      await task().catch((err: unknown) => logger.warn({ err }, 'sweep failed: trying again'))
  }
  let stopped = false
  let sweeping = sweep()
  const timer = setInterval(() => {
    sweeping = sweeping.then(() => (stopped ? undefined : sweep()))
  }, settings.intervalMs)
  const stop = async () => {
    stopped = true
    clearInterval(timer)
    await sweeping
  }
  return { stop }
}
