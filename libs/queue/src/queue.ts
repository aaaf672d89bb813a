import type { ClientBase, Pool } from 'pg'
import type { Logger } from 'pino'
import { type Backend, type JobData, type JobQueue, postgresBackend, redisBackend } from './backend.js'
import { Outbox, type WaitingJob } from './outbox.js'
import { CLOSE_MS, within } from './within.js'
import { type RunningWorker, startWorker, type WorkOptions } from './worker.js'

export interface QueueSettings {
  /** Letters and hyphens; one queue of this name per database or Redis. */
  name: string
  databaseUrl: string
  /** Jobs live in Redis instead of PostgreSQL. */
  redisUrl?: string
  /** The service's own pool and its outbox table, so that a job commits with the act that causes it. */
  outbox: { pool: Pool; table: string }
  /** How often a failing job is run in all. */
  attempts: number
  /** Wait before the second run; doubles each time. */
  backoffMs: number
  /** A run whose worker was not heard of for this long is given to another worker. */
  lockMs: number
  logger: Logger
}

/** Whether a job will still be run. */
export type JobStanding = 'waiting' | 'running' | 'gone'

const RELAY_INTERVAL_MS = 500
const KEPT = { completed: { age: 3_600, count: 1_000 }, failed: { age: 30 * 86_400, count: 100_000 } }

/** A queue with a transactional way in: a job exists exactly when the transaction that enqueued it commits. */
export class JobChannel {
  private readonly outbox: Outbox
  private readonly backend: Backend
  private readonly queue: JobQueue
  private readonly timer: NodeJS.Timeout
  private readonly workers: RunningWorker[] = []
  private relaying: Promise<unknown> = Promise.resolve()
  private closing?: Promise<void>
  private failing = false

  constructor(private readonly settings: QueueSettings) {
    const { name, databaseUrl, redisUrl, outbox, logger } = settings
    this.outbox = new Outbox(outbox.pool, outbox.table, name)
    this.backend = redisUrl
      ? redisBackend(redisUrl)
      : postgresBackend(databaseUrl, `vigil-queue-${name}`, logger)
    this.queue = this.backend.queue(name)
    this.queue.on('error', (err) => logger.warn({ err }, 'queue connection trouble'))
    this.timer = setInterval(() => this.relay(), RELAY_INTERVAL_MS)
  }

  /** Adds a job in the caller's open transaction and returns its id. Call `relay` after the commit. */
  enqueue(client: ClientBase, job: JobData): Promise<string> {
    return this.outbox.add(client, job)
  }

  /** Hands committed jobs to the queue now; what fails is tried again by itself within half a second. */
  relay(): void {
    if (this.closing) return
    this.relaying = this.relaying.then(() => this.relayAll())
  }

  private async relayAll(): Promise<void> {
    const { attempts, backoffMs, logger } = this.settings
    const options = {
      attempts,
      backoff: { type: 'exponential', delay: backoffMs },
      removeOnComplete: KEPT.completed,
      removeOnFail: KEPT.failed,
    }
    // One by one: BullMQ's bulk insert on PostgreSQL needs the right to create tables.
    const deliver = async (jobs: WaitingJob[]) => {
      for (const { id, data } of jobs) await this.queue.add('run', data, { ...options, jobId: id })
    }
    try {
      while (!this.closing && (await this.outbox.relay(deliver)) > 0);
    } catch (err) {
      if (!this.failing) logger.warn({ err }, 'jobs wait in the outbox: trying again')
      this.failing = true
      return
    }
    this.failing = false
  }

  /** Starts running jobs in this process. */
  work(options: WorkOptions): void {
    const { name, lockMs, logger } = this.settings
    this.workers.push(startWorker(this.backend, { name, lockMs, logger }, options))
  }

  /** What will become of a job; `gone` when it is done, failed for good or was never there. */
  async standing(id: string): Promise<JobStanding> {
    if (await this.outbox.holds(id)) return 'waiting'
    const state = await this.queue.getJobState(id)
    if (state === 'active') return 'running'
    return ['waiting', 'delayed', 'prioritized', 'waiting-children'].includes(state) ? 'waiting' : 'gone'
  }

  /** Jobs that are not done: in the outbox, waiting, put off, running. */
  async depth(): Promise<Record<'outbox' | 'waiting' | 'delayed' | 'active' | 'failed', number>> {
    const [outbox, counts] = await Promise.all([
      this.outbox.depth(),
      this.queue.getJobCounts('waiting', 'delayed', 'active', 'failed'),
    ])
    const of = (state: string) => counts[state] ?? 0
    return {
      outbox,
      waiting: of('waiting'),
      delayed: of('delayed'),
      active: of('active'),
      failed: of('failed'),
    }
  }

  /** Stops taking jobs, waits up to `graceMs` for those that run, lets go of the connections. */
  close(graceMs = 5_000): Promise<void> {
    this.closing ??= this.shut(graceMs)
    return this.closing
  }

  private async shut(graceMs: number): Promise<void> {
    clearInterval(this.timer)
    await Promise.all(this.workers.map((worker) => worker.stop(graceMs)))
    // A store that is away must not hold up the end of the process.
    await within(this.relaying, graceMs)
    await within(this.queue.close(), CLOSE_MS)
    await within(this.backend.close(), CLOSE_MS)
  }
}

/** Opens a queue on PostgreSQL, or on Redis where a URL is given. */
export const openQueue = (settings: QueueSettings): JobChannel => new JobChannel(settings)
