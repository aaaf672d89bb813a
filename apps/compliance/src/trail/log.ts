import type pg from 'pg'
import {
  consistencyProof,
  encodeBundle,
  HASH_LENGTH,
  inclusionProof,
  parseVerificationKey,
  proofText,
  storedNodes,
  TILE_WIDTH,
} from '#libs/audit'

/** What the log publishes, read from the database: tiles, bundles, checkpoints and proofs. */
export class LogReader {
  constructor(
    private readonly pool: pg.Pool,
    /** Verification keys as text: the log's, and those of its witnesses. */
    readonly keys: readonly [string, ...string[]],
  ) {
    this.origin = parseVerificationKey(keys[0]).name
  }

  private readonly origin: string

  /** The newest signed checkpoint with the cosignatures it has so far, or undefined while the log has none. */
  async checkpoint(): Promise<{ size: number; note: string } | undefined> {
    const { rows } = await this.pool.query<{ size: string; note: string }>({
      name: 'audit-checkpoint',
      text: `SELECT c.size, c.note || coalesce((SELECT string_agg(s.line, '' ORDER BY s.witness)
                                              FROM audit.cosignature s WHERE s.size = c.size), '') AS note
             FROM audit.checkpoint c ORDER BY c.size DESC LIMIT 1`,
    })
    const newest = rows[0]
    // A log that was just renamed has none yet; the one before is of another log.
    if (!newest?.note.startsWith(`${this.origin}\n`)) return undefined
    return { size: Number(newest.size), note: newest.note }
  }

  /** Lowest index whose entry is published: those below were dropped after their period, their hashes were not. */
  async minimumIndex(): Promise<number> {
    const { rows } = await this.pool.query<{ minimum: string }>('SELECT audit.minimum_index() AS minimum')
    return Number(rows[0]!.minimum)
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
      `SELECT coalesce(e.body, k.body) AS body FROM audit.leaf l
       LEFT JOIN audit.entry e ON e.recorded_at = l.recorded_at AND e.id = l.entry_id
       LEFT JOIN audit.kept_entry k ON k.log_index = l.log_index
       WHERE l.log_index >= $1 AND l.log_index < $2 AND coalesce(e.body, k.body) IS NOT NULL ORDER BY l.log_index`,
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
    return proofText(index, await inclusionProof(storedNodes(this.pool), index, newest.size), newest.note)
  }

  /** Hashes that prove the tree of `from` entries a prefix of that of `to`; undefined outside the log. */
  async consistency(from: number, to: number): Promise<Buffer[] | undefined> {
    const newest = await this.checkpoint()
    if (!newest || from < 1 || from > to || to > newest.size) return undefined
    return consistencyProof(storedNodes(this.pool), from, to)
  }
}
