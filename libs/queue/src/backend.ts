import {
  createPostgresBackend,
  type Processor,
  Queue,
  type QueueOptions,
  Worker,
  type WorkerOptions,
} from 'bullmq'
import pg from 'pg'
import type { Logger } from 'pino'

/** What a job carries: the id of its subject and nothing else. BullMQ keeps it in clear. */
export interface JobData {
  subject: string
  /** W3C Trace Context of the request that caused the job. */
  traceparent?: string
}

export type JobQueue = Pick<Queue<JobData>, 'add' | 'getJobState' | 'getJobCounts' | 'close' | 'on'>
export type JobWorker = Pick<Worker<JobData>, 'close' | 'pause' | 'on'>
type Settings = Omit<WorkerOptions, 'connection'>

/** Where BullMQ keeps its jobs. */
export interface Backend {
  queue(name: string): JobQueue
  worker(name: string, run: Processor<JobData>, settings: Settings): JobWorker
  close(): Promise<void>
}

/** The schema of BullMQ's tables and functions in PostgreSQL. */
export const QUEUE_SCHEMA = 'bullmq'

const SESSION = { lock_timeout: 10_000, statement_timeout: 30_000, keepAlive: true }

/** BullMQ on PostgreSQL: one pool, of which each queue and worker may hold one connection to LISTEN. */
export function postgresBackend(url: string, applicationName: string, logger: Logger): Backend {
  const pool = new pg.Pool({
    connectionString: url,
    application_name: applicationName,
    options: `-c search_path=${QUEUE_SCHEMA}`,
    max: 6,
    ...SESSION,
  })
  pool.on('error', (err) => logger.warn({ err }, 'idle queue connection lost'))
  return {
    queue: (name) =>
      new Queue(name, { connection: pool } as unknown as QueueOptions, createPostgresBackend as never),
    worker: (name, run, settings) =>
      new Worker(
        name,
        run,
        { ...settings, connection: pool } as unknown as WorkerOptions,
        createPostgresBackend as never,
      ),
    close: () => pool.end(),
  }
}

/** BullMQ on Redis. Producers fail fast while it is away (the outbox keeps the jobs); workers wait for it. */
export function redisBackend(url: string): Backend {
  return {
    queue: (name) =>
      new Queue(name, { connection: { url, enableOfflineQueue: false, maxRetriesPerRequest: 1 } }),
    worker: (name, run, settings) =>
      new Worker(name, run, { ...settings, connection: { url, maxRetriesPerRequest: null } }),
    close: async () => undefined,
  }
}
