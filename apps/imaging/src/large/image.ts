import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { LargeOutcome, LargeTask } from './task.js'

/** Compiled code is what threads run, also where the service itself runs from its sources (in tests). */
const THREAD = new URL(
  import.meta.url.endsWith('.ts') ? '../../../../dist/apps/imaging/src/large/thread.js' : './thread.js',
  import.meta.url,
)

/** A large image on a thread of its own: what became of it, then its bytes. */
export interface LargeImage {
  outcome: LargeOutcome
  /** Chunks of a clean file, one in memory at a time. */
  chunks(): AsyncGenerator<Uint8Array>
  close(): Promise<void>
}

async function nextMessage(worker: Worker): Promise<unknown> {
  // Rejects with the thread's error, where it ends in one.
  const [message] = await once(worker, 'message')
  return message
}

/** Reads or cleans a stored image on a thread; the caller closes it. Rejects where the file is not authentic. */
export async function openLarge(task: LargeTask): Promise<LargeImage> {
  const { escrow: _, ...order } = task.order ?? {}
  const workerData: LargeTask = {
    ...task,
    ...(task.order ? { order: order as NonNullable<LargeTask['order']> } : {}),
  }
  // Flags of ours, such as conditions for the sources, are not the thread's.
  const worker = new Worker(THREAD, { workerData, execArgv: [] })
  task.place.key.fill(0)
  const outcome = (await nextMessage(worker)) as LargeOutcome
  return {
    outcome,
    async *chunks() {
      for (;;) {
        const message = nextMessage(worker)
        worker.postMessage('next')
        const chunk = (await message) as Uint8Array | null
        if (chunk === null) return
        yield chunk
      }
    },
    close: async () => void (await worker.terminate()),
  }
}
