import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { countStatement, entriesStatement } from '../../../apps/compliance/src/trail/entries.sql.js'
import { migrate } from '../../../migrations/run.js'
import { startEmbeddedPostgres } from '../../embedded/postgres.js'
import { machine, type Row, report } from '../report.js'
import { fillTrail } from './fill.js'
import { questionsOf } from './questions.js'

const PATIENT = '1:benchmark-patient'
const RUNS = 21

interface Statement {
  text: string
  values: unknown[]
}

/** Median and slowest of some runs, in milliseconds, of one statement as the service sends it. */
async function measure(client: pg.Client, { text, values }: Statement) {
  const times: number[] = []
  let rows = 0
  for (let run = 0; run < RUNS; run++) {
    const begun = performance.now()
    rows = (await client.query(text, values)).rows.length
    times.push(performance.now() - begun)
  }
  times.sort((a, b) => a - b)
  const round = (ms: number) => Math.round(ms * 10) / 10
  return { median: round(times[RUNS >> 1]!), slowest: round(times.at(-1)!), rows }
}

/** Asks a trail of `entries` entries in four monthly partitions for first pages and counts; one row a question. */
async function ask(client: pg.Client): Promise<Row[]> {
  const rows: Row[] = []
  for (const { name, sought } of questionsOf(PATIENT)) {
    const page = (order: 'newest' | 'oldest') =>
      measure(client, entriesStatement('default', sought, { order, limit: 100 }))
    const newest = await page('newest')
    const oldest = await page('oldest')
    const count = await measure(client, countStatement('default', sought))
    rows.push({
      filter: name,
      found: Math.min(newest.rows, 100),
      'newest ms': newest.median,
      'oldest ms': oldest.median,
      'slowest ms': Math.max(newest.slowest, oldest.slowest),
      'count ms': count.median,
    })
  }
  return rows
}

/** First pages of the trail at a million entries: medians over 21 runs, of the whole statement as the service sends it. */
export async function benchQueries(entries = 1_000_000): Promise<void> {
  const dataDir = mkdtempSync(join(tmpdir(), 'vigil-bench-trail-'))
  chmodSync(dataDir, 0o711)
  const postgres = await startEmbeddedPostgres({ dataDir, port: 0, log: () => undefined })
  const client = new pg.Client({ connectionString: postgres.adminUrl })
  try {
    await migrate(postgres.adminUrl, {})
    await client.connect()
    const begun = performance.now()
    await fillTrail(client, { entries, months: 3, patientRef: PATIENT })
    console.log(`filled ${entries} entries in ${Math.round((performance.now() - begun) / 1000)} s`)
    const ran = machine()
    const rows = await ask(client)
    const { rows: sizes } = await client.query<{ bytes: string }>(
      `SELECT sum(pg_total_relation_size(inhrelid)) / $1::bigint AS bytes FROM pg_inherits
       WHERE inhparent = 'audit.entry'::regclass`,
      [entries],
    )
    const slowest = Math.max(...rows.flatMap((row) => [Number(row['newest ms']), Number(row['oldest ms'])]))
    report({
      title: `Audit trail: first page of 100 among ${entries.toLocaleString('en')} entries (target: median below 50 ms)`,
      machine: ran,
      rows,
      json: { entries, slowest_median_ms: slowest, bytes_per_entry: Number(sizes[0]!.bytes) },
    })
    console.log(
      `  slowest median ${slowest} ms; ${Math.round(Number(sizes[0]!.bytes))} bytes an entry with its indexes`,
    )
  } finally {
    await client.end()
    await postgres.stop('immediate')
    rmSync(dataDir, { recursive: true, force: true })
  }
}
