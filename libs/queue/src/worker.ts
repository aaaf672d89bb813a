import { UnrecoverableError } from 'bullmq'
import type { Logger } from 'pino'
import { inSpan, newId, SpanKind, withCorrelation } from '#libs/platform'
import type { Backend } from './backend.js'
import { CLOSE_MS, within } from './within.js'

export interface WorkOptions {
  concurrency: number
  /**
   * Runs a job for its subject. It may be run again at any point (a crash, a lost lock), so it must be
   * idempotent. Whatever it throws is kept as a class name only: messages may quote what was read.
   */
  run: (subject: string) => Promise<void>
}

interface WorkerContext {
  name: string
  lockMs: number
  logger: Logger
}

export interface RunningWorker {
  stop(graceMs: number): Promise<void>
}

/** Thrown by a job that must not be tried again; it stays visible among the failed jobs. */
export class GiveUp extends Error {
  override readonly name = 'GiveUp'
  constructor(readonly code: string) {
    super(code)
  }
}

/** The error that BullMQ stores in clear: without message and stack of the original. */
function withoutContent(error: unknown): Error {
  if (error instanceof GiveUp) return stackless(new UnrecoverableError(error.code))
  return stackless(new Error(error instanceof Error ? error.name : 'unknown'))
}

function stackless<T extends Error>(error: T): T {
  error.stack = error.message
  return error
}

export function startWorker(
  backend: Backend,
  { name, lockMs, logger }: WorkerContext,
  { concurrency, run }: WorkOptions,
): RunningWorker {
  const running = new Set<Promise<void>>()
  const worker = backend.worker(
    name,
    async ({ data: { subject, traceparent } }) => {
      const context = { correlationId: subject, ...(traceparent ? { traceparent } : {}) }
      const job = withCorrelation(context, () =>
        inSpan(`run ${name}`, { kind: SpanKind.CONSUMER }, () => run(subject)),
      ).catch((error) => {
        throw withoutContent(error)
      })
      running.add(job)
      await job.finally(() => running.delete(job))
    },
    {
      concurrency,
      lockDuration: lockMs,
      stalledInterval: lockMs,
      // How often a subject may be tried is counted by its owner, who also sees crashes.
      maxStalledCount: 100,
      drainDelay: 5,
      name: newId(),
    },
  )
  worker.on('error', (err) => logger.warn({ err }, 'worker trouble'))
  const stop = async (graceMs: number) => {
    await worker.pause(true)
    await within(Promise.allSettled(running), graceMs)
    // The lock of a job that still runs is let go of: another worker takes it over.
    await within(worker.close(running.size > 0), CLOSE_MS)
  }
  return { stop }
}
