import type { Pool } from 'pg'
import { positionsStatement } from '../trail/entries.sql.js'
import { type EntryRow, toTrailEntry } from '../trail/entry.js'
import type { Sought } from '../trail/query.js'
import type { Exported } from './sink.js'

const PAGE = 5_000

interface PositionRow {
  id: string
  recorded_at: string
  log_index: string | null
}

/** Log indices, below `size`, of the tenant's entries that were recorded by `asOf` and match; ascending. */
export async function indicesOf(
  pool: Pool,
  tenant: string,
  sought: Sought,
  { asOf, size }: { asOf: string; size: number },
): Promise<Float64Array> {
  const bounded = { ...sought, to: sought.to && Date.parse(sought.to) < Date.parse(asOf) ? sought.to : asOf }
  const found: number[] = []
  for (let after: { at: string; id: string } | undefined; ; ) {
    const { rows } = await pool.query<PositionRow>(positionsStatement(tenant, bounded, PAGE, after))
    for (const { log_index } of rows) {
      if (log_index !== null && Number(log_index) < size) found.push(Number(log_index))
    }
    const last = rows.at(-1)
    if (!last || rows.length < PAGE) return Float64Array.from(found).sort()
    after = { at: last.recorded_at, id: last.id }
  }
}

type StoredRow = Omit<EntryRow, 'id' | 'body' | 'recorded_at'> & {
  leaf_hash: Buffer
  tenant: string | null
  body: Buffer | null
  recorded_at: string | null
}

/** Entries at these indices; without body where it is another tenant's or was dropped after its period. */
export async function entriesAt(pool: Pool, tenant: string, indices: number[]): Promise<Exported[]> {
  const { rows } = await pool.query<StoredRow>(
    `SELECT l.log_index, l.leaf_hash, e.tenant, e.body,
       to_char(e.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS recorded_at
     FROM audit.leaf l LEFT JOIN audit.entry e ON e.recorded_at = l.recorded_at AND e.id = l.entry_id
     WHERE l.log_index = ANY($1::bigint[]) ORDER BY l.log_index`,
    [indices],
  )
  return rows.map(({ log_index, leaf_hash, body, recorded_at, tenant: owner }) => {
    const index = Number(log_index)
    if (!body || !recorded_at || owner !== tenant) return { index, leaf: leaf_hash }
    const entry = toTrailEntry({ id: '', body, recorded_at, log_index })
    return { index, leaf: leaf_hash, body, entry }
  })
}
