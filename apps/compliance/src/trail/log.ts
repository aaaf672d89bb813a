import type pg from 'pg'
import {
  consistencyProof,
  encodeBundle,
  HASH_LENGTH,
  inclusionProof,
  nodesFromTiles,
  proofText,
  TILE_WIDTH,
} from '#libs/audit'

/** What the log publishes, read from the database: tiles, bundles, checkpoints and proofs. */
export class LogReader {
  constructor(
    private readonly pool: pg.Pool,
    /** Verification key of the log, as text. */
    readonly key: string,
  ) {}

  private readonly nodes = nodesFromTiles(
    async ({ level, n }) => (await this.tile(level, n)) ?? Buffer.alloc(0),
  )

  /** The newest signed checkpoint, or undefined while the log is empty. */
  async checkpoint(): Promise<{ size: number; note: string } | undefined> {
    const { rows } = await this.pool.query<{ size: string; note: string }>(
      'SELECT size, note FROM audit.checkpoint ORDER BY size DESC LIMIT 1',
    )
    return rows[0] && { size: Number(rows[0].size), note: rows[0].note }
  }

  /** All hashes that a tile has; with a width, exactly that many or undefined where it has fewer. */
  async tile(level: number, n: number, width?: number): Promise<Buffer | undefined> {
    const { rows } = await this.pool.query<{ hashes: Buffer }>(
      'SELECT hashes FROM audit.tile WHERE level = $1 AND n = $2',
      [level, n],
    )
    const hashes = rows[0]?.hashes
    if (width === undefined || hashes === undefined) return hashes
    return hashes.length >= width * HASH_LENGTH ? hashes.subarray(0, width * HASH_LENGTH) : undefined
  }

  /** Entry bundle n with exactly `width` entries, or undefined where there are fewer. */
  async bundle(n: number, width: number): Promise<Buffer | undefined> {
    const { rows } = await this.pool.query<{ body: Buffer }>(
      `SELECT e.body FROM audit.leaf l JOIN audit.entry e ON e.recorded_at = l.recorded_at AND e.id = l.entry_id
       WHERE l.log_index >= $1 AND l.log_index < $2 ORDER BY l.log_index`,
      [n * TILE_WIDTH, n * TILE_WIDTH + width],
    )
    return rows.length === width ? encodeBundle(rows.map((row) => row.body)) : undefined
  }

  /** Index of an entry in the log, or undefined while it waits for one. */
  async indexOf(entryId: string): Promise<number | undefined> {
    const { rows } = await this.pool.query<{ log_index: string }>(
      'SELECT log_index FROM audit.leaf WHERE entry_id = $1',
      [entryId],
    )
    return rows[0] && Number(rows[0].log_index)
  }

  /** Proof (C2SP tlog-proof text) that an index is in the newest checkpoint; undefined where it is not yet. */
  async proof(index: number): Promise<string | undefined> {
    const newest = await this.checkpoint()
    if (!newest || index >= newest.size) return undefined
    return proofText(index, await inclusionProof(this.nodes, index, newest.size), newest.note)
  }

  /** Hashes that prove the tree of `from` entries a prefix of that of `to`; undefined outside the log. */
  async consistency(from: number, to: number): Promise<Buffer[] | undefined> {
    const newest = await this.checkpoint()
    if (!newest || from < 1 || from > to || to > newest.size) return undefined
    return consistencyProof(this.nodes, from, to)
  }
}
