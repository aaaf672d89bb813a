import type pg from 'pg'
import { type Tile, unfinishedTiles } from './merkle/growth.js'
import { nodesFromTiles, type TileAddress } from './merkle/tile.js'
import type { NodeReader } from './merkle/tree.js'

type Queryable = Pick<pg.ClientBase, 'query'>

/** Places up to `limit` pending entries after the newest one; their leaf hashes come back end to end. */
export async function placePending(
  client: Queryable,
  limit: number,
): Promise<{ size: number; leaves: Buffer }> {
  const { rows } = await client.query<{ first_index: string; hashes: Buffer }>({
    name: 'audit-place',
    text: 'SELECT first_index, hashes FROM audit.place_pending($1)',
    values: [limit],
  })
  return { size: Number(rows[0]!.first_index), leaves: rows[0]!.hashes }
}

/** The unfinished tiles of the tree of `size`. */
export async function readUnfinished(client: Queryable, size: number): Promise<Tile[]> {
  const addresses = unfinishedTiles(size)
  const { rows } = await client.query<{ level: number; n: string; hashes: Buffer }>({
    name: 'audit-unfinished',
    text: `SELECT t.level, t.n, t.hashes FROM audit.tile t
           JOIN unnest($1::smallint[], $2::bigint[]) AS a (level, n) USING (level, n)`,
    values: [addresses.map(({ level }) => level), addresses.map(({ n }) => n)],
  })
  return rows.map(({ level, n, hashes }) => ({ level, n: Number(n), hashes }))
}

export async function writeTiles(client: Queryable, tiles: readonly Tile[]): Promise<void> {
  await client.query({
    name: 'audit-tiles',
    text: `INSERT INTO audit.tile (level, n, hashes) SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::bytea[])
           ON CONFLICT (level, n) DO UPDATE SET hashes = EXCLUDED.hashes`,
    values: [tiles.map(({ level }) => level), tiles.map(({ n }) => n), tiles.map(({ hashes }) => hashes)],
  })
}

/** Hashes of a stored tile; undefined where there is none. */
export async function readTile(client: Queryable, { level, n }: TileAddress): Promise<Buffer | undefined> {
  const { rows } = await client.query<{ hashes: Buffer }>({
    name: 'audit-tile',
    text: 'SELECT hashes FROM audit.tile WHERE level = $1 AND n = $2',
    values: [level, n],
  })
  return rows[0]?.hashes
}

/** Nodes of the stored tree; each tile is read once in the life of the reader. */
export function storedNodes(client: Queryable): NodeReader {
  const tiles = new Map<string, Promise<Buffer>>()
  return nodesFromTiles((address) => {
    const key = `${address.level}/${address.n}`
    const known = tiles.get(key) ?? readTile(client, address).then((hashes) => hashes ?? Buffer.alloc(0))
    tiles.set(key, known)
    return known
  })
}

export async function treeSize(client: Queryable): Promise<number> {
  const { rows } = await client.query<{ size: string }>('SELECT size FROM audit.tree_state')
  return Number(rows[0]!.size)
}

/** Seconds that the oldest entry without a place has waited. */
export async function pendingAge(client: Queryable): Promise<number> {
  const { rows } = await client.query<{ age: number | null }>(
    'SELECT extract(epoch FROM clock_timestamp() - recorded_at)::float8 AS age FROM audit.pending ORDER BY seq LIMIT 1',
  )
  return Math.max(0, rows[0]?.age ?? 0)
}

/** Newest checkpoint that the database knows, of whatever origin. */
export async function newestCheckpoint(client: Queryable): Promise<string | undefined> {
  const { rows } = await client.query<{ note: string }>(
    'SELECT note FROM audit.checkpoint ORDER BY size DESC LIMIT 1',
  )
  return rows[0]?.note
}

interface Cosignature {
  witness: string
  line: string
}

/** Keeps a checkpoint, or adds to one that is kept, in one statement. */
export async function storeCheckpoint(
  client: Queryable,
  { size, root, note }: { size: number; root: Buffer; note: string },
  cosignatures: readonly Cosignature[],
): Promise<void> {
  await client.query({
    text: `WITH kept AS (INSERT INTO audit.checkpoint (size, root, note) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING)
           INSERT INTO audit.cosignature (size, witness, line)
           SELECT $1, w, l FROM unnest($4::text[], $5::text[]) AS c (w, l) ON CONFLICT DO NOTHING`,
    values: [
      size,
      root,
      note,
      cosignatures.map(({ witness }) => witness),
      cosignatures.map(({ line }) => line),
    ],
  })
}
