import type pg from 'pg'
import { Gauge } from 'prom-client'
import { inTransaction, metrics } from '#libs/platform'
import { checkpointText } from './merkle/checkpoint.js'
import { HASH_LENGTH } from './merkle/hash.js'
import { type NoteSigner, signNote } from './merkle/note.js'
import { nodesFromTiles, TILE_WIDTH, type TileAddress, tileRoot } from './merkle/tile.js'
import { rootOf } from './merkle/tree.js'

const BATCH = 4096

const pendingAge = new Gauge({
  name: 'audit_pending_age_seconds',
  help: 'Age of the oldest audit entry that has no place in the tree yet',
  registers: [metrics],
})
const treeSize = new Gauge({
  name: 'audit_tree_size',
  help: 'Entries in the audit tree',
  registers: [metrics],
})

interface Pending {
  seq: string
  entry_id: string
  /** As text: a JavaScript Date would cut the microseconds off, and the leaf would not find its entry. */
  recorded_at: string
  leaf_hash: Buffer
}

/** The tiles that a batch touches: read before they are changed, written back together. */
class TileCache {
  private readonly tiles = new Map<string, { address: TileAddress; hashes: Buffer; changed: boolean }>()

  constructor(private readonly client: pg.ClientBase) {}

  async read({ level, n }: TileAddress): Promise<Buffer> {
    const key = `${level}/${n}`
    const known = this.tiles.get(key)
    if (known) return known.hashes
    const { rows } = await this.client.query<{ hashes: Buffer }>(
      'SELECT hashes FROM audit.tile WHERE level = $1 AND n = $2',
      [level, n],
    )
    const hashes = rows[0]?.hashes ?? Buffer.alloc(0)
    this.tiles.set(key, { address: { level, n }, hashes, changed: false })
    return hashes
  }

  /** Appends hashes from position `from` of a level, and the roots of tiles that fill up to the level above. */
  async append(level: number, from: number, hashes: Buffer[]): Promise<void> {
    const roots: Buffer[] = []
    let at = from
    for (let taken = 0; taken < hashes.length; ) {
      const n = Math.floor(at / TILE_WIDTH)
      const room = TILE_WIDTH - (at % TILE_WIDTH)
      const added = hashes.slice(taken, taken + room)
      const before = await this.read({ level, n })
      if (before.length !== (at % TILE_WIDTH) * HASH_LENGTH)
        throw new Error(`Tile ${level}/${n} does not end at ${at}`)
      const whole = Buffer.concat([before, ...added])
      this.tiles.set(`${level}/${n}`, { address: { level, n }, hashes: whole, changed: true })
      if (whole.length === TILE_WIDTH * HASH_LENGTH) roots.push(tileRoot(whole))
      taken += added.length
      at += added.length
    }
    if (roots.length > 0) await this.append(level + 1, Math.floor(from / TILE_WIDTH), roots)
  }

  async write(): Promise<void> {
    const changed = [...this.tiles.values()].filter((tile) => tile.changed)
    await this.client.query(
      `INSERT INTO audit.tile (level, n, hashes) SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::bytea[])
       ON CONFLICT (level, n) DO UPDATE SET hashes = EXCLUDED.hashes`,
      [changed.map((t) => t.address.level), changed.map((t) => t.address.n), changed.map((t) => t.hashes)],
    )
  }
}

/** Takes up to 4,096 pending entries in the order they were written. */
async function takePending(client: pg.ClientBase): Promise<Pending[]> {
  const { rows } = await client.query<Pending>(
    `WITH taken AS (
       DELETE FROM audit.pending WHERE seq IN (SELECT seq FROM audit.pending ORDER BY seq LIMIT ${BATCH})
       RETURNING seq, entry_id, recorded_at::text, leaf_hash)
     SELECT * FROM taken ORDER BY seq`,
  )
  return rows
}

async function insertLeaves(client: pg.ClientBase, from: number, batch: Pending[]): Promise<void> {
  await client.query(
    `INSERT INTO audit.leaf (log_index, entry_id, recorded_at, leaf_hash)
     SELECT $1 + o - 1, e, r, h FROM unnest($2::uuid[], $3::timestamptz[], $4::bytea[]) WITH ORDINALITY AS b (e, r, h, o)`,
    [
      from,
      batch.map((entry) => entry.entry_id),
      batch.map((entry) => entry.recorded_at),
      batch.map((entry) => entry.leaf_hash),
    ],
  )
}

/** The size of the tree, with the lock that makes this sequencer the only one until the transaction ends. */
async function lockTree(client: pg.ClientBase): Promise<number> {
  const { rows } = await client.query<{ size: string }>('SELECT size FROM audit.tree_state FOR UPDATE')
  return Number(rows[0]!.size)
}

/**
 * Gives one batch of pending entries their indices, extends the tree and signs a checkpoint, all in one
 * transaction. Returns how many entries that were. A second sequencer waits for the row lock.
 */
export async function sequenceBatch(pool: pg.Pool, signer: NoteSigner): Promise<number> {
  return inTransaction(pool, async (client) => {
    const size = await lockTree(client)
    const batch = await takePending(client)
    const newSize = size + batch.length
    treeSize.set(newSize)
    if (batch.length === 0) return 0
    await insertLeaves(client, size, batch)
    const tiles = new TileCache(client)
    await tiles.append(
      0,
      size,
      batch.map((entry) => entry.leaf_hash),
    )
    const root = await rootOf(
      nodesFromTiles((address) => tiles.read(address)),
      newSize,
    )
    await tiles.write()
    await client.query('UPDATE audit.tree_state SET size = $1', [newSize])
    const note = signNote(signer, checkpointText({ origin: signer.name, size: newSize, root }))
    await client.query('INSERT INTO audit.checkpoint (size, root, note) VALUES ($1, $2, $3)', [
      newSize,
      root,
      note,
    ])
    return batch.length
  })
}

async function measureBacklog(pool: pg.Pool): Promise<void> {
  const { rows } = await pool.query<{ age: number | null }>(
    'SELECT extract(epoch FROM clock_timestamp() - recorded_at)::float8 AS age FROM audit.pending ORDER BY seq LIMIT 1',
  )
  pendingAge.set(Math.max(0, rows[0]?.age ?? 0))
}

interface Options {
  pool: pg.Pool
  signer: NoteSigner
  intervalMs: number
  onError: (error: unknown) => void
}

const PARTITIONS_EVERY_MS = 3_600_000

/** Sequences until it is stopped; an error is reported and tried again at the next tick. */
export function startSequencer({ pool, signer, intervalMs, onError }: Options): { stop(): Promise<void> } {
  let stopped = false
  let wake = () => {}
  let partitionsAt = 0
  const tick = async () => {
    if (Date.now() >= partitionsAt) {
      await pool.query('SELECT audit.ensure_partitions(3)')
      partitionsAt = Date.now() + PARTITIONS_EVERY_MS
    }
    while ((await sequenceBatch(pool, signer)) === BATCH && !stopped);
    await measureBacklog(pool)
  }
  const run = async () => {
    while (!stopped) {
      await tick().catch(onError)
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
