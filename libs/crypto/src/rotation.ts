import type pg from 'pg'
import { inTransaction, newId } from '#libs/platform'
import type { RotatingKeyProvider } from './provider.js'
import { NotAuthenticError } from './xaes.js'

/** The kinds of wrapped keys, in the order in which they are turned over (keys.wrapped_keys). */
const KINDS = ['root', 'token-signing-key', 'data-key', 'blob'] as const
type Kind = (typeof KINDS)[number]

/** A rotation as the database remembers it. */
export interface Rotation {
  id: string
  version: string
  kind: Kind | null
  after: string | null
  seen: number
  rewrapped: number
  total: number
  startedAt: Date
  finishedAt: Date | null
}

/** Writes the audit entry of a rotation's start or end in the transaction that it is part of. */
export type RecordRotation = (
  client: pg.ClientBase,
  action: 'KEY_ROTATION_STARTED' | 'KEY_ROTATION_FINISHED',
  details: Record<string, string | number>,
) => Promise<unknown>

interface Order {
  pool: pg.Pool
  provider: RotatingKeyProvider
  record: RecordRotation
  /** Keys read, re-wrapped and written together. */
  batch?: number
  /** Keys at the provider at once. */
  width?: number
}

const COLUMNS = `id, version, kind, after, seen::int AS seen, rewrapped::int AS rewrapped, total::int AS total,
  started_at AS "startedAt", finished_at AS "finishedAt"`

/** The rotation that is under way, or else the last one. */
export async function latestRotation(pool: pg.Pool): Promise<Rotation | undefined> {
  const { rows } = await pool.query<Rotation>(
    `SELECT ${COLUMNS} FROM keys.rotation ORDER BY finished_at IS NULL DESC, started_at DESC LIMIT 1`,
  )
  return rows[0]
}

async function start({ pool, record }: Order, version: string): Promise<Rotation> {
  return inTransaction(pool, async (client) => {
    const { rows } = await client.query<Rotation>(
      `INSERT INTO keys.rotation (id, version, total) VALUES ($1, $2, keys.count_wrapped()) RETURNING ${COLUMNS}`,
      [newId(), version],
    )
    const [rotation] = rows
    await record(client, 'KEY_ROTATION_STARTED', { version, keys: rotation!.total })
    return rotation!
  })
}

/**
 * Begins a rotation: from here on everything is wrapped under a new key-encryption key. One that was interrupted is
 * taken up instead. `fresh: false` makes no new key and moves what is left under the newest one.
 */
export async function beginRotation(order: Order, { fresh = true } = {}): Promise<Rotation> {
  const latest = await latestRotation(order.pool)
  if (latest && !latest.finishedAt) return latest
  const { provider } = order
  return start(order, fresh ? await provider.rotate() : await provider.currentVersion())
}

interface WrappedKey {
  id: string
  wrapped: Buffer
  context: string[]
}

/** The context as the one who wrapped the key gave it. */
const contextOf = ({ context }: WrappedKey): string =>
  context.length === 1 ? context[0]! : JSON.stringify(context)

/** Runs `work` over all items, `width` at a time. */
async function inParallel<T>(items: readonly T[], width: number, work: (item: T) => Promise<void>) {
  const waiting = [...items]
  const worker = async () => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await work(item)
  }
  await Promise.all(Array.from({ length: width }, worker))
}

interface Exchange {
  id: string
  old: Buffer
  new: Buffer
}

/** The rows of a batch that are under another version, re-wrapped; those that do not open are named apart. */
async function rewrapBatch({ provider, width = 8 }: Order, version: string, rows: WrappedKey[]) {
  const exchanges: Exchange[] = []
  const unreadable: string[] = []
  const stale = rows.filter((row) => provider.versionOf(row.wrapped) !== version)
  await inParallel(stale, width, async (row) => {
    try {
      exchanges.push({
        id: row.id,
        old: row.wrapped,
        new: await provider.rewrap(row.wrapped, contextOf(row)),
      })
    } catch (error) {
      if (!(error instanceof NotAuthenticError)) throw error
      unreadable.push(row.id)
    }
  })
  return { exchanges, unreadable }
}

/** Writes a batch and how far it came together: a kill in between repeats a batch and loses none. */
async function keep(pool: pg.Pool, rotation: Rotation, kind: Kind, exchanges: Exchange[]): Promise<number> {
  return inTransaction(pool, async (client) => {
    let swapped = 0
    for (const { id, old, new: next } of exchanges) {
      const { rows } = await client.query<{ done: boolean }>(
        'SELECT keys.swap_wrapped($1, $2, $3, $4) AS done',
        [kind, id, old, next],
      )
      if (rows[0]!.done) swapped += 1
    }
    await client.query(
      `UPDATE keys.rotation SET version = $2, kind = $3, after = $4, seen = $5, rewrapped = rewrapped + $6
       WHERE id = $1`,
      [rotation.id, rotation.version, kind, rotation.after, rotation.seen, swapped],
    )
    return swapped
  })
}

export interface Progress {
  rotation: Rotation
  /** `kind id` of wrapped keys that the provider does not open: damaged, or moved from elsewhere. */
  unreadable: string[]
}

/** One pass over every wrapped key from where the rotation stands; tells of each batch. */
async function* pass(order: Order, rotation: Rotation, unreadable: Set<string>): AsyncGenerator<number> {
  const { pool, batch = 200 } = order
  for (const kind of KINDS.slice(rotation.kind ? KINDS.indexOf(rotation.kind) : 0)) {
    if (rotation.kind !== kind) Object.assign(rotation, { kind, after: null })
    for (;;) {
      const { rows } = await pool.query<WrappedKey>('SELECT * FROM keys.wrapped_keys($1, $2, $3)', [
        kind,
        rotation.after,
        batch,
      ])
      if (rows.length === 0) break
      const found = await rewrapBatch(order, rotation.version, rows)
      for (const id of found.unreadable) unreadable.add(`${kind} ${id}`)
      rotation.after = rows.at(-1)!.id
      rotation.seen += rows.length
      const swapped = await keep(pool, rotation, kind, found.exchanges)
      rotation.rewrapped += swapped
      yield found.exchanges.length
    }
  }
}

/**
 * Moves every data key under the rotation's version, in batches, while others read and write; what was wrapped before
 * the rotation and committed after its batch is found by another pass, until one finds nothing. May be stopped at any
 * moment and called again.
 */
export async function* finishRotation(order: Order, rotation: Rotation): AsyncGenerator<Progress> {
  const unreadable = new Set<string>()
  const progress = () => ({ rotation, unreadable: [...unreadable] })
  for (let found = 1; found > 0; ) {
    // A provider may turn over by itself meanwhile: the aim moves along, else no pass would find all done.
    rotation.version = await order.provider.currentVersion()
    const isResumed = rotation.kind !== null
    found = isResumed ? 1 : 0
    for await (const moved of pass(order, rotation, unreadable)) {
      found += moved
      yield progress()
    }
    if (found > 0) Object.assign(rotation, { kind: null, after: null, seen: 0 })
  }
  await inTransaction(order.pool, async (client) => {
    const { rows } = await client.query<{ at: Date }>(
      'UPDATE keys.rotation SET finished_at = clock_timestamp(), total = seen WHERE id = $1 RETURNING finished_at AS at',
      [rotation.id],
    )
    rotation.finishedAt = rows[0]!.at
    const { version, rewrapped } = rotation
    await order.record(client, 'KEY_ROTATION_FINISHED', { version, rewrapped, unreadable: unreadable.size })
  })
  yield progress()
}

/** How many wrapped keys are under which version: reads all of them. */
export async function countVersions({ pool, provider }: Pick<Order, 'pool' | 'provider'>) {
  const counts = new Map<string, number>()
  for (const kind of KINDS)
    for (let after: string | null = null; ; ) {
      const { rows }: { rows: WrappedKey[] } = await pool.query<WrappedKey>(
        'SELECT * FROM keys.wrapped_keys($1, $2, 1000)',
        [kind, after],
      )
      for (const { wrapped } of rows) {
        const version = provider.versionOf(wrapped) ?? 'unknown'
        counts.set(version, (counts.get(version) ?? 0) + 1)
      }
      if (rows.length === 0) break
      after = rows.at(-1)!.id
    }
  return counts
}

const ROTATION_LOCK = 0x72_6f_74_61

/** Holds the house's one rotation for as long as `work` takes; undefined where another process has it. */
export async function alone<T>(pool: pg.Pool, work: () => Promise<T>): Promise<T | undefined> {
  const client = await pool.connect()
  try {
    const { rows } = await client.query<{ held: boolean }>('SELECT pg_try_advisory_lock($1) AS held', [
      ROTATION_LOCK,
    ])
    return rows[0]!.held ? await work() : undefined
  } finally {
    // The lock ends with its session.
    client.release(true)
  }
}
