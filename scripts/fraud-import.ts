import { createReadStream, existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { createGunzip } from 'node:zlib'
import { SingleBar } from 'cli-progress'
import { parse } from 'csv-parse'
import pg from 'pg'
import { CURRENCIES, toMinorUnits } from '../apps/fraud/src/transactions/currency.js'
import { appendAudit } from '../libs/audit/src/append.js'
import { newId } from '../libs/platform/src/ids.js'

const USAGE = `npm run fraud:import -- FILE.csv[.gz] [--map FIELD=COLUMN]... [--currency USD] [--method other] [--label-delay-days 7] [--tenant default]
Loads history with labels. Fields: transaction_id, timestamp, user_id, merchant_id, amount, and optionally currency,
payment_method, label (0 or 1). Columns default to those of the Fraud Detection Handbook (TRANSACTION_ID, TX_DATETIME,
CUSTOMER_ID, TERMINAL_ID, TX_AMOUNT, TX_FRAUD). Times without a zone are UTC. What is there already is left as it is, so
that an interrupted import is simply started again. Into DATABASE_URL, or the running Vigil of DATA_DIR (.data).
Exit code: 0 all lines loaded, 2 some lines were not valid (they are named), 1 nothing could be done.`

const COLUMNS: Record<string, string> = {
  transaction_id: 'TRANSACTION_ID',
  timestamp: 'TX_DATETIME',
  user_id: 'CUSTOMER_ID',
  merchant_id: 'TERMINAL_ID',
  amount: 'TX_AMOUNT',
  currency: 'CURRENCY',
  payment_method: 'PAYMENT_METHOD',
  label: 'TX_FRAUD',
}
const REQUIRED = ['transaction_id', 'timestamp', 'user_id', 'merchant_id', 'amount']
const BATCH = 5_000
const MOST_COMPLAINTS = 20
const DAY_MS = 86_400_000

interface Line {
  id: string
  at: string
  user: string
  merchant: string
  minor: string
  currency: string
  method: string
  label: string | null
  labelledAt: string | null
}

interface Settings {
  columns: Record<string, string>
  currency: string
  method: string
  delayMs: number
}

/** A line of the file as a row, or what is wrong with it: the column's name, never its content. */
function toLine(
  record: Record<string, string>,
  { columns, currency: usual, method, delayMs }: Settings,
): Line | { wrong: string } {
  const value = (field: string) => record[columns[field]!]?.trim() ?? ''
  const empty = REQUIRED.find((field) => value(field) === '' || value(field).length > 128)
  if (empty) return { wrong: columns[empty]! }
  const zoned = /(Z|[+-]\d\d:?\d\d)$/.test(value('timestamp'))
  const at = new Date(zoned ? value('timestamp') : `${value('timestamp').replace(' ', 'T')}Z`)
  if (Number.isNaN(at.getTime()) || at.getUTCFullYear() < 2000 || at.getTime() > Date.now())
    return { wrong: columns.timestamp! }
  const currency = value('currency') || usual
  if (!CURRENCIES.includes(currency)) return { wrong: columns.currency! }
  const amount = Number(value('amount'))
  const minor = Number.isFinite(amount) && amount >= 0 ? toMinorUnits(amount.toFixed(2), currency) : undefined
  if (minor === undefined) return { wrong: columns.amount! }
  const label = value('label')
  if (!['', '0', '1'].includes(label)) return { wrong: columns.label! }
  return {
    id: value('transaction_id'),
    at: at.toISOString(),
    user: value('user_id'),
    merchant: value('merchant_id'),
    minor: minor.toString(),
    currency,
    method: value('payment_method') || method,
    label: label === '' ? null : label === '1' ? 'fraud' : 'legitimate',
    labelledAt: label === '' ? null : new Date(at.getTime() + delayMs).toISOString(),
  }
}

const INSERT = `
  WITH line AS (
    SELECT * FROM unnest($2::text[], $3::timestamptz[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::text[], $10::timestamptz[])
      AS l (id, at, user_id, merchant_id, minor, currency, method, label, labelled_at)),
  added AS (
    INSERT INTO fraud.transaction (tenant, transaction_id, user_id, merchant_id, amount_minor, currency, event_ts, payment_method)
    SELECT $1, id, user_id, merchant_id, minor, currency, at, method FROM line
    ON CONFLICT (tenant, transaction_id) DO NOTHING RETURNING transaction_id),
  labelled AS (
    INSERT INTO fraud.label (tenant, transaction_id, label, source, labelled_at, merchant_id, event_ts)
    SELECT $1, id, label, 'import', labelled_at, merchant_id, at FROM line JOIN added ON transaction_id = id WHERE label IS NOT NULL)
  SELECT count(*)::int AS added FROM added`

async function insert(client: pg.Client, tenant: string, lines: Line[]): Promise<number> {
  const column = <K extends keyof Line>(name: K) => lines.map((line) => line[name])
  const names = [
    'id',
    'at',
    'user',
    'merchant',
    'minor',
    'currency',
    'method',
    'label',
    'labelledAt',
  ] as const
  const { rows } = await client.query<{ added: number }>({
    name: 'import',
    text: INSERT,
    values: [tenant, ...names.map(column)],
  })
  return rows[0]!.added
}

function databaseUrl(): string {
  const note = join(process.env.DATA_DIR ?? '.data', 'secrets', 'fraud-database-url')
  const url = process.env.DATABASE_URL ?? (existsSync(note) ? readFileSync(note, 'utf8').trim() : undefined)
  if (!url) throw new Error('Set DATABASE_URL, or start Vigil first (npm start)')
  return url
}

async function* records(
  file: string,
  progress: (bytes: number) => void,
): AsyncGenerator<Record<string, string>> {
  const source = createReadStream(file)
  source.on('data', (chunk) => progress(chunk.length))
  const text = file.endsWith('.gz') ? source.pipe(createGunzip()) : source
  const rows = parse({
    columns: true,
    bom: true,
    relax_column_count: true,
    max_record_size: 65_536,
    skip_empty_lines: true,
  })
  source.on('error', (error) => rows.destroy(error))
  text.on('error', (error: Error) => rows.destroy(error))
  yield* text.pipe(rows)
}

async function load(file: string, tenant: string, settings: Settings): Promise<number> {
  const client = new pg.Client({ connectionString: databaseUrl(), application_name: 'vigil-fraud-import' })
  await client.connect()
  const bar = new SingleBar({ format: 'importing {bar} {percentage} % | {lines} lines | {eta} s left' })
  const counts = { lines: 0, added: 0, wrong: 0 }
  const complaints: string[] = []
  let read = 0
  let batch: Line[] = []
  const flush = async () => {
    if (batch.length > 0) counts.added += await insert(client, tenant, batch)
    batch = []
    bar.update(read, { lines: counts.lines })
  }
  try {
    bar.start(statSync(file).size, 0, { lines: 0 })
    for await (const record of records(file, (bytes) => (read += bytes))) {
      counts.lines++
      const line = toLine(record, settings)
      if ('wrong' in line) {
        counts.wrong++
        if (complaints.length < MOST_COMPLAINTS)
          complaints.push(`line ${counts.lines + 1}: ${line.wrong} is not valid`)
      } else if (batch.push(line) === BATCH) await flush()
    }
    await flush()
    await appendAudit(client, {
      tenant,
      service: 'fraud',
      actor: { type: 'system', id: 'fraud:import' },
      action: 'HISTORY_IMPORTED',
      outcome: counts.wrong > 0 ? 'failure' : 'success',
      correlationId: newId(),
      details: counts,
    })
  } finally {
    bar.stop()
    await client.end()
  }
  for (const complaint of complaints) console.error(complaint)
  if (counts.wrong > complaints.length) console.error(`... and ${counts.wrong - complaints.length} more`)
  const there = counts.lines - counts.added - counts.wrong
  console.log(
    `${counts.lines} lines: ${counts.added} loaded, ${there} were there already, ${counts.wrong} not valid`,
  )
  return counts.wrong > 0 ? 2 : 0
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
  const mapped = values.map.map((pair) => pair.split('='))
  const unknown = mapped.find(([field, column]) => !field || !column || !(field in COLUMNS))
  if (positionals.length !== 1 || unknown) {
    console.error(unknown ? `Unknown mapping: ${unknown.join('=')}\n\n${USAGE}` : USAGE)
    return 1
  }
  const settings = {
    columns: { ...COLUMNS, ...Object.fromEntries(mapped) } as Record<string, string>,
    currency: values.currency,
    method: values.method,
    delayMs: Number(values['label-delay-days']) * DAY_MS,
  }
  return load(positionals[0]!, values.tenant, settings)
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
