import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createLogger, createPool, inTransaction, newId } from '#libs/platform'
import { GiveUp, type JobChannel, openQueue } from '#libs/queue'
import { createTestDatabase, type TestDatabase } from './support/database.js'

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** Both profiles run the same story; Redis where the run is given one. */
const backends = [
  { backend: 'PostgreSQL', redisUrl: undefined },
  ...(process.env.TEST_REDIS_URL ? [{ backend: 'Redis', redisUrl: process.env.TEST_REDIS_URL }] : []),
]

describe.each(backends)('a queue on $backend', ({ redisUrl }) => {
  let database: TestDatabase
  let pool: pg.Pool
  const open: JobChannel[] = []

  const channel = (name: string, settings: { attempts?: number; lockMs?: number } = {}) => {
    const queue = openQueue({
      name,
      databaseUrl: database.url('vigil_imaging'),
      redisUrl,
      outbox: { pool, table: 'imaging.outbox' },
      attempts: settings.attempts ?? 3,
      backoffMs: 50,
      lockMs: settings.lockMs ?? 5_000,
      logger: createLogger('imaging', process.env.DEBUG_LOG ?? 'silent'),
    })
    open.push(queue)
    return queue
  }
  const submit = (queue: JobChannel, subject: string) =>
    inTransaction(pool, (client) => queue.enqueue(client, { subject }))

  beforeAll(async () => {
    database = await createTestDatabase()
    pool = createPool(database.url('vigil_imaging'), { applicationName: 'queue-test' })
  })
  afterAll(async () => {
    await Promise.all(open.map((queue) => queue.close(500)))
    await pool.end()
    await database.drop()
  })

  test('runs a job once its transaction is committed, and never one that was rolled back', async () => {
    const queue = channel('commit')
    const [kept, lost] = [newId(), newId()]
    const seen: string[] = []
    queue.work({ concurrency: 2, run: async (subject) => void seen.push(subject) })
    const failing = inTransaction(pool, async (client) => {
      await queue.enqueue(client, { subject: lost })
      queue.relay()
      await sleep(200)
      throw new Error('the act fails')
    })
    await expect(failing).rejects.toThrow('the act fails')
    const id = await submit(queue, kept)
    queue.relay()
    await expect.poll(() => seen, { timeout: 10_000 }).toEqual([kept])
    await expect.poll(() => queue.standing(id)).toBe('gone')
    await sleep(700)
    expect(seen).toEqual([kept])
  })

  test('two relays at once deliver every job once', async () => {
    const first = channel('relays')
    const seen = new Map<string, number>()
    const subjects = Array.from({ length: 60 }, newId)
    for (const subject of subjects) await submit(first, subject)
    const second = channel('relays')
    for (const queue of [first, second]) {
      queue.work({
        concurrency: 4,
        run: async (subject) => void seen.set(subject, (seen.get(subject) ?? 0) + 1),
      })
      queue.relay()
    }
    await expect.poll(() => seen.size, { timeout: 15_000 }).toBe(60)
    await expect.poll(() => first.depth()).toMatchObject({ outbox: 0, waiting: 0, active: 0 })
    expect([...seen.values()].every((count) => count === 1)).toBe(true)
  })

  test('tries a failing job again, then keeps it visible as failed, without its message', async () => {
    const queue = channel('retry', { attempts: 3 })
    let runs = 0
    queue.work({
      concurrency: 1,
      run: async () => {
        runs += 1
        throw new TypeError('CANARY DOE^JANE')
      },
    })
    const id = await submit(queue, newId())
    queue.relay()
    await expect.poll(() => runs, { timeout: 10_000 }).toBe(3)
    await expect.poll(() => queue.depth()).toMatchObject({ failed: 1, delayed: 0, active: 0 })
    expect(await queue.standing(id)).toBe('gone')
    if (!redisUrl) {
      const admin = new pg.Client({ connectionString: database.adminUrl })
      await admin.connect()
      const { rows } = await admin.query('SELECT to_jsonb(j)::text AS row FROM bullmq.job j')
      await admin.end()
      const stored = rows.map(({ row }) => row).join('\n')
      expect(stored).toContain('TypeError')
      expect(stored).not.toContain('CANARY')
    }
  })

  test('a job that gives up is not tried again', async () => {
    const queue = channel('give-up', { attempts: 5 })
    let runs = 0
    queue.work({
      concurrency: 1,
      run: async () => {
        runs += 1
        throw new GiveUp('not_worth_it')
      },
    })
    await submit(queue, newId())
    queue.relay()
    await expect.poll(() => queue.depth(), { timeout: 10_000 }).toMatchObject({ failed: 1, delayed: 0 })
    await sleep(300)
    expect(runs).toBe(1)
  })

  test('a job of a worker that went silent is given to another', async () => {
    const queue = channel('silent', { lockMs: 1_000 })
    let runs = 0
    queue.work({
      concurrency: 1,
      run: async () => {
        runs += 1
        if (runs === 1) await new Promise(() => undefined)
      },
    })
    const id = await submit(queue, newId())
    queue.relay()
    await expect.poll(() => runs, { timeout: 10_000 }).toBe(1)
    await queue.close(100)
    const other = channel('silent', { lockMs: 1_000 })
    expect(await other.standing(id)).toBe('running')
    other.work({ concurrency: 1, run: async () => void runs++ })
    await expect.poll(() => runs, { timeout: 15_000 }).toBe(2)
  })

  test('a job carries an id and nothing else', async () => {
    const queue = channel('ids')
    await expect(submit(queue, 'DOE^JANE')).rejects.toThrow(/by UUID/)
  })

  test('the service role cannot change the queue schema', async () => {
    await expect(pool.query('CREATE TABLE bullmq.x (a int)')).rejects.toThrow(/permission denied/)
    await expect(pool.query('DROP TABLE bullmq.job')).rejects.toThrow(/must be owner/)
  })
})
