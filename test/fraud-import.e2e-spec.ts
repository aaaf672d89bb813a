import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createPool } from '#libs/platform'
import { type ImportOptions, importHistory } from '../apps/fraud/src/history/import.js'
import { createTestDatabase, type TestDatabase } from './support/database.js'

let database: TestDatabase
let pool: pg.Pool
let admin: pg.Client
const folder = mkdtempSync(join(tmpdir(), 'vigil-import-'))
const DAY_MS = 86_400_000
const now = Date.parse('2026-06-01T00:00:00Z')

beforeAll(async () => {
  database = await createTestDatabase()
  pool = createPool(database.url('vigil_fraud'), { applicationName: 'test', max: 1 })
  admin = new pg.Client({ connectionString: database.adminUrl })
  await admin.connect()
})
afterAll(async () => {
  await pool?.end()
  await admin?.end()
  await database?.drop()
  rmSync(folder, { recursive: true })
})

const options = (changes: Partial<ImportOptions> = {}): ImportOptions => ({
  mappings: [],
  tenant: 'default',
  currency: 'USD',
  method: 'other',
  labelDelayMs: 7 * DAY_MS,
  now,
  ...changes,
})
const file = (name: string, text: string) => {
  const path = join(folder, name)
  writeFileSync(path, name.endsWith('.gz') ? gzipSync(text) : text)
  return path
}
const HEADER =
  'TRANSACTION_ID,TX_DATETIME,CUSTOMER_ID,TERMINAL_ID,TX_AMOUNT,TX_TIME_SECONDS,TX_TIME_DAYS,TX_FRAUD,TX_FRAUD_SCENARIO'
const handbook = (count: number) =>
  [
    HEADER,
    ...Array.from(
      { length: count },
      (_, at) =>
        `${at},2026-05-0${1 + (at % 9)} 10:00:31,c${at % 50},t${at % 70},${at}.5,0,0,${+(at % 10 === 0)},9`,
    ),
  ].join('\n')

test('a handbook file is loaded once, however often it is imported', async () => {
  const path = file('history.csv.gz', handbook(12_000))
  const first = await importHistory(path, pool, options())
  expect(first.counts).toEqual({ lines: 12_000, added: 12_000, known: 0, labels: 12_000, wrong: 0 })
  const again = await importHistory(path, pool, options())
  expect(again.counts).toEqual({ lines: 12_000, added: 0, known: 12_000, labels: 0, wrong: 0 })
  const { rows } = await admin.query(
    `SELECT t.amount_minor, t.event_ts, l.label, l.labelled_at, l.source FROM fraud.transaction t JOIN fraud.label l USING (tenant, transaction_id)
     WHERE transaction_id = '20'`,
  )
  expect(rows).toEqual([
    {
      amount_minor: '2050',
      event_ts: new Date('2026-05-03T10:00:31Z'),
      label: 'fraud',
      labelled_at: new Date('2026-05-10T10:00:31Z'),
      source: 'import',
    },
  ])
  const audit = await admin.query(
    `SELECT sum((convert_from(body, 'UTF8')::jsonb #>> '{entry,details,payments}')::int)::int AS payments FROM audit.entry WHERE action = 'HISTORY_IMPORTED'`,
  )
  expect(audit.rows[0].payments).toBe(12_000)
})

test('an import that was cut goes on where it was', async () => {
  const whole = handbook(7_000).replaceAll('\n', '\ncut-')
  await importHistory(file('cut.csv', whole.slice(0, whole.length / 2)), pool, options()).catch(
    () => undefined,
  )
  const { counts } = await importHistory(file('whole.csv', whole), pool, options())
  expect(counts.wrong).toBeLessThanOrEqual(1)
  const { rows } = await admin.query(
    `SELECT count(*)::int AS n FROM fraud.transaction WHERE transaction_id LIKE 'cut-%'`,
  )
  expect(rows[0].n).toBeGreaterThanOrEqual(6_999)
})

test('wrong lines are named by number and kept out; the others are loaded', async () => {
  const lines = [
    'when,id,card,shop,paid,curr,lat,lon,truth',
    '2026-05-01T10:00:00+02:00,w1,c,m,10.50,EUR,48.85,2.35,fraud',
    '2026-05-01T10:00:00Z,w2,c,m,-3,EUR,,,',
    'yesterday,w3,c,m,1,EUR,,,',
    '2026-05-01T10:00:00Z,w4,c,m,1,XXQ,,,',
    '2026-05-01T10:00:00Z,w5,c,m,1,EUR,95,2,',
    '2026-05-01T10:00:00Z,w6,c,m,1,EUR,48,,',
    '2026-05-01T10:00:00Z,w7,c,m,1,EUR,,,maybe',
    '2026-05-01T10:00:00Z,w8',
    '2027-05-01T10:00:00Z,w9,c,m,1,EUR,,,',
    '2026-05-01T10:00:00Z,w1,c,m,99,EUR,,,',
    '2026-05-01T10:00:00Z,w10,c\u0000,m,1,EUR,,,',
    '2026-05-01T10:00:00Z,w11,c,m,1.005,EUR,,,',
    '2026-05-01T10:00:00Z,"w12"x,c,m,1,EUR,,,',
    '2026-05-01T10:00:00Z,"w12,c,m,1,EUR,,,',
    '2026-05-01T10:00:00Z,"w,13",c,m,1,EUR,,,legitimate\r',
  ]
  const names = 'timestamp=when transaction_id=id user_id=card merchant_id=shop amount=paid currency=curr'
  const mappings = `${names} latitude=lat longitude=lon label=truth`.split(' ')
  const result = await importHistory(file('mixed.csv', lines.join('\n')), pool, options({ mappings }))
  expect(result.counts).toMatchObject({ lines: 15, added: 2, labels: 2, wrong: 13 })
  const numbers = result.complaints.map((complaint) => Number(/^line (\d+): /.exec(complaint)?.[1]))
  expect(numbers.sort((a, b) => a - b)).toEqual([3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15])
  expect(result.complaints.join()).not.toContain('XXQ')
  const { rows } = await admin.query(
    `SELECT event_ts, cell, amount_minor FROM fraud.transaction WHERE transaction_id = 'w1'`,
  )
  expect(rows).toEqual([
    { event_ts: new Date('2026-05-01T08:00:00Z'), cell: '851fb467fffffff', amount_minor: '1050' },
  ])
})

test('labels of the future are known by the time of the import at the latest', async () => {
  const path = file('late.csv', `${HEADER}\nlate,2026-05-31 10:00:00,c,t,1,0,0,1,1`)
  await importHistory(path, pool, options())
  const { rows } = await admin.query(`SELECT labelled_at FROM fraud.label WHERE transaction_id = 'late'`)
  expect(rows).toEqual([{ labelled_at: new Date(now) }])
})

test('a gzip file that is cut loads nothing half: the error is told', async () => {
  const path = file('short.csv.gz', handbook(50_000).replaceAll('\n', '\nshort-'))
  truncateSync(path, 60_000)
  await expect(importHistory(path, pool, options())).rejects.toThrow(/unexpected end of file/)
})

test.each([
  ['an empty file', '', [], /empty/],
  ['a file without a needed column', 'a,b\n1,2', [], /transaction_id/],
  ['a column that is not there', HEADER, ['amount=PRICE'], /no column PRICE/],
  ['a field that is none', HEADER, ['price=TX_AMOUNT'], /FIELD=COLUMN/],
])('%s is refused as a whole', async (_case, text, mappings, message) => {
  const path = file('refused.csv', text)
  await expect(importHistory(path, pool, options({ mappings }))).rejects.toThrow(message)
})
