import { inTransaction } from '#libs/platform'
import type { JobChannel } from '#libs/queue'
import { expiredExports, replaceJob, retire, unfinishedExports } from './exports.sql.js'
import { type ExportWorks, runExport } from './run.js'

interface Working extends ExportWorks {
  queue: JobChannel
  sweepMs: number
}

/** Gives exports whose job is gone a new one: a queue that was lost loses no export. */
export async function reviveExports({ pool, queue }: Pick<Working, 'pool' | 'queue'>): Promise<void> {
  for (const lost of await unfinishedExports(pool)) {
    if ((await queue.standing(lost.job_id)) !== 'gone') continue
    await inTransaction(pool, async (client) => {
      const job = await queue.enqueue(client, { subject: lost.id })
      if (!(await replaceJob(client, lost, job))) throw new Error('The export moved on')
    }).catch(() => undefined)
  }
  queue.relay()
}

/** Takes away what has expired, files and rows of parts. */
export async function expireExports({ pool, store }: Pick<Working, 'pool' | 'store'>): Promise<void> {
  for (const id of await expiredExports(pool)) {
    await retire(pool, id, 'expired')
    await store.remove(id)
  }
}

/** Runs the jobs of exports, one at a time, and sweeps, until stopped. */
export function startExporting(working: Working): { stop(): Promise<void> } {
  const { queue, logger, sweepMs } = working
  queue.work({ concurrency: 1, run: (id) => runExport(working, id) })
  let sweeping = Promise.resolve()
  const sweep = async () => {
    for (const task of [reviveExports, expireExports])
      await task(working).catch((err: unknown) =>
        logger.warn({ err }, 'sweep of exports failed: trying again'),
      )
  }
  const timer = setInterval(() => {
    sweeping = sweeping.then(sweep)
  }, sweepMs)
  const stop = async () => {
    clearInterval(timer)
    await sweeping
    await queue.close()
  }
  return { stop }
}
