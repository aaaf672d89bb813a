import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { SingleBar } from 'cli-progress'
import { type Import, type ImportOptions, importHistory } from '../apps/fraud/src/history/import.js'
import { createPool } from '../libs/platform/src/database.js'

const USAGE = `npm run fraud:import -- FILE.csv[.gz] [--map FIELD=COLUMN]... [--currency USD] [--method other] [--label-delay-days 7] [--tenant default]
Loads history with labels. Fields: transaction_id, timestamp, user_id, merchant_id, amount, and optionally currency,
payment_method, latitude, longitude, label (0, 1, fraud, legitimate), labelled_at. A field's column has its name, or that
of the Fraud Detection Handbook (TRANSACTION_ID, TX_DATETIME, CUSTOMER_ID, TERMINAL_ID, TX_AMOUNT, TX_FRAUD). Times
without a zone are UTC. What is there already is left as it is: an interrupted import is simply started again. Into
DATABASE_URL, or the running Vigil of DATA_DIR (.data).
Exit code: 0 all lines loaded, 2 some lines were not valid (they are named), 1 nothing could be done.`

const DAY_MS = 86_400_000

function databaseUrl(): string {
  const note = join(process.env.DATA_DIR ?? '.data', 'secrets', 'fraud-database-url')
  const url = process.env.DATABASE_URL ?? (existsSync(note) ? readFileSync(note, 'utf8').trim() : undefined)
  if (!url) throw new Error('Set DATABASE_URL, or start Vigil first (npm start)')
  return url
}

async function load(file: string, options: ImportOptions): Promise<Import> {
  const size = statSync(file).size
  const pool = createPool(databaseUrl(), { applicationName: 'vigil-fraud-import', max: 1 })
  const bar = new SingleBar({ format: 'importing {bar} {percentage} % | {lines} lines | {eta} s left' })
  bar.start(size, 0, { lines: 0 })
  try {
    return await importHistory(file, pool, options, (bytes, lines) => bar.update(bytes, { lines }))
  } finally {
    bar.stop()
    await pool.end()
  }
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      map: { type: 'string', multiple: true, default: [] },
      currency: { type: 'string', default: 'USD' },
      method: { type: 'string', default: 'other' },
      'label-delay-days': { type: 'string', default: '7' },
      tenant: { type: 'string', default: 'default' },
    },
  })
  const [file, ...more] = positionals.filter((argument) => !argument.includes('='))
  const delay = Number(values['label-delay-days'])
  if (!file || more.length > 0 || !(delay >= 0)) {
    console.error(USAGE)
    return 1
  }
  const { counts, complaints } = await load(file, {
    mappings: [...values.map, ...positionals.filter((argument) => argument !== file)],
    currency: values.currency,
    method: values.method,
    labelDelayMs: delay * DAY_MS,
    tenant: values.tenant,
    now: Date.now(),
  })
  for (const complaint of complaints) console.error(complaint)
  if (counts.wrong > complaints.length) console.error(`... and ${counts.wrong - complaints.length} more`)
  console.log(
    `${counts.lines} lines: ${counts.added} payments and ${counts.labels} labels loaded, ` +
      `${counts.known} payments were there already, ${counts.wrong} lines not valid`,
  )
  return counts.wrong > 0 ? 2 : 0
}

main().then(
  (code) => {
    process.exitCode = code
  },
  (error: Error) => {
    console.error(error.message)
    process.exitCode = 1
  },
)
