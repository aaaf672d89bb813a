import pg from 'pg'
import type { Row } from '../report.js'
import type { BenchServer } from './server.js'

/** Bytes that an entry takes in each table, its indexes among them. */
export async function measureStorage(server: BenchServer): Promise<Row[]> {
  const client = new pg.Client({ connectionString: server.adminUrl })
  await client.connect()
  try {
    await client.query('VACUUM ANALYZE audit.leaf, audit.tile')
    const { rows } = await client.query<{ part: string; bytes: string; indexes: string; entries: string }>(
      `WITH t AS (
         SELECT 'entry' AS part, inhrelid AS oid FROM pg_inherits WHERE inhparent = 'audit.entry'::regclass
         UNION ALL SELECT 'leaf', 'audit.leaf'::regclass UNION ALL SELECT 'tile', 'audit.tile'::regclass)
       SELECT part, sum(pg_table_size(oid)) AS bytes, sum(pg_indexes_size(oid)) AS indexes,
         (SELECT size FROM audit.tree_state) AS entries FROM t GROUP BY part ORDER BY part`,
    )
    const each = (bytes: string, entries: string) => Math.round(Number(bytes) / Number(entries))
    return rows.map(({ part, bytes, indexes, entries }) => ({
      part,
      entries: Number(entries),
      'bytes per entry': each(bytes, entries),
      'in indexes': each(indexes, entries),
    }))
  } finally {
    await client.end()
  }
}
