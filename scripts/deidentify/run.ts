import { Worker } from 'node:worker_threads'
import { deidentifyFile, type FileRecord, type FileTask } from './file.js'
import { lookFor, orderFor } from './profile.js'
import type { ThreadData } from './thread.js'

type Done = (task: FileTask, record: FileRecord) => void
/** Files that a thread has before it, so that it never waits for the next. */
const AHEAD = 4

function runInThread(
  data: ThreadData,
  next: () => [number, FileTask] | undefined,
  tasks: FileTask[],
  done: Done,
): Promise<void> {
  const worker = new Worker(new URL('./thread.js', import.meta.url), { workerData: data })
  let open = 0
  const give = () => {
    const entry = next()
    if (!entry) return
    open++
    worker.postMessage({ at: entry[0], task: entry[1] })
  }
  return new Promise<void>((resolve, reject) => {
    worker.on('error', reject)
    worker.on('message', ({ at, record }: { at: number; record: FileRecord }) => {
      open--
      done(tasks[at]!, record)
      give()
      if (open === 0) resolve()
    })
    for (let at = 0; at < AHEAD; at++) give()
    if (open === 0) resolve()
  }).finally(() => worker.terminate())
}

/** De-identifies files on so many threads; `done` hears of each as it ends. With one thread none is started. */
export async function deidentifyAll(
  tasks: FileTask[],
  data: ThreadData,
  threads: number,
  done: Done,
): Promise<void> {
  if (threads === 1) {
    const order = orderFor(data.profile, data.keys)
    const look = lookFor(data.profile)
    for (const task of tasks) done(task, await deidentifyFile(task, data.output, order, data.naming, look))
    return
  }
  const entries = tasks.entries()
  const next = () => entries.next().value
  await Promise.all(
    Array.from({ length: Math.min(threads, tasks.length) }, () => runInThread(data, next, tasks, done)),
  )
}
