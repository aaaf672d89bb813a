import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { COUNT_LIMIT, countStatement, entriesStatement } from '../apps/compliance/src/trail/entries.sql.js'
import type { Sought } from '../apps/compliance/src/trail/query.js'
import { fillTrail } from '../scripts/bench/audit/fill.js'
import { questionsOf } from '../scripts/bench/audit/questions.js'
import { createTestDatabase, type TestDatabase } from './support/database.js'

const ENTRIES = 12_000
const PATIENT = '1:patient-with-three'
let database: TestDatabase
let admin: pg.Client
let reader: pg.Client

interface Row {
  id: string
  recorded_at: string
}
interface Stored extends Row {
  actor_id: string
  action: string
  subject_id: string
  patient_ref: string | null
  correlation_id: string
  outcome: string
  service: string
}
let all: Stored[]
let filled: Set<string>

beforeAll(async () => {
  database = await createTestDatabase()
  admin = new pg.Client({ connectionString: database.adminUrl })
  reader = new pg.Client({ connectionString: database.url('vigil_compliance') })
  await Promise.all([admin.connect(), reader.connect()])
  await fillTrail(admin, { entries: ENTRIES, months: 3, patientRef: PATIENT })
  all = (
    await admin.query<Stored>(
      `SELECT id, to_char(recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS recorded_at, actor_id,
         action, subject_id, patient_ref, correlation_id, outcome, service FROM audit.entry`,
    )
  ).rows.sort((a, b) => compare(b, a))
  const partitions = await admin.query<{ name: string }>(
    'SELECT DISTINCT c.relname AS name FROM audit.entry e JOIN pg_class c ON c.oid = e.tableoid',
  )
  filled = new Set(partitions.rows.map(({ name }) => name))
  expect(filled.size).toBeGreaterThanOrEqual(3)
})
afterAll(async () => {
  await Promise.all([admin?.end(), reader?.end()])
  await database?.drop()
})

const compare = (a: Row, b: Row) =>
  a.recorded_at < b.recorded_at ? -1 : a.recorded_at > b.recorded_at ? 1 : a.id < b.id ? -1 : 1

/** The naive reading of the filters over every entry, newest first. */
const matching = (sought: Sought) => {
  const instant = (text: string) => new Date(text).toISOString()
  return all.filter(
    (entry) =>
      (!sought.actor || entry.actor_id === sought.actor) &&
      (!sought.action || entry.action === sought.action) &&
      (!sought.subject || entry.subject_id === sought.subject) &&
      (!sought.patientRef || entry.patient_ref === sought.patientRef) &&
      (!sought.correlation_id || entry.correlation_id === sought.correlation_id) &&
      (!sought.outcome || entry.outcome === sought.outcome) &&
      (!sought.service || entry.service === sought.service) &&
      (!sought.from || entry.recorded_at.slice(0, 23) >= instant(sought.from).slice(0, 23)) &&
      (!sought.to || entry.recorded_at.slice(0, 23) < instant(sought.to).slice(0, 23)),
  )
}

const questions = questionsOf(PATIENT)

describe.each(questions)('$name', ({ sought }) => {
  test('finds what a scan of everything finds, in both orders, page by page', async () => {
    const expected = matching(sought).map(({ id }) => id)
    for (const order of ['newest', 'oldest'] as const) {
      const limit = Math.max(40, Math.ceil(expected.length / 3))
      const found: string[] = []
      for (let after: { at: string; id: string } | undefined; ; ) {
        const { text, values } = entriesStatement('default', sought, { order, limit }, after)
        const { rows } = await reader.query<Row>(text, values)
        const page = rows.slice(0, limit)
        found.push(...page.map(({ id }) => id))
        if (rows.length <= limit) break
        after = { at: page.at(-1)!.recorded_at, id: page.at(-1)!.id }
      }
      expect(found).toEqual(order === 'newest' ? expected : expected.toReversed())
    }
    const { text, values } = countStatement('default', sought)
    const { rows } = await reader.query<{ count: number }>(text, values)
    expect(rows[0]!.count).toBe(Math.min(expected.length, COUNT_LIMIT + 1))
  })

  test('reads ranges of an index and little else', async () => {
    for (const order of ['newest', 'oldest'] as const) {
      const { text, values } = entriesStatement('default', sought, { order, limit: 20 })
      const { rows } = await admin.query(`EXPLAIN (ANALYZE, FORMAT JSON) ${text}`, values)
      const nodes = flatten(rows[0]['QUERY PLAN'][0].Plan).filter(onEntries)
      expect(nodes.length).toBeGreaterThan(0)
      for (const node of nodes) expect(node['Node Type']).toMatch(/^(Index|Bitmap)/)
      const sum = (key: string) =>
        nodes.reduce((total, node) => total + Number(node[key] ?? 0) * Number(node['Actual Loops'] ?? 1), 0)
      // 21 of each of at most nine ranges, and one look-ahead of each partition; few are read and dropped.
      expect(sum('Actual Rows')).toBeLessThanOrEqual(9 * (21 + 10))
      expect(sum('Rows Removed by Filter')).toBeLessThanOrEqual(10)
    }
  })
})

interface PlanNode {
  'Node Type': string
  'Relation Name'?: string
  'Index Name'?: string
  Plans?: PlanNode[]
  [key: string]: unknown
}
const flatten = (node: PlanNode): PlanNode[] => [node, ...(node.Plans ?? []).flatMap(flatten)]
/** Scans of partitions that hold something: an empty one is rightly read whole. */
const onEntries = (node: PlanNode) => filled.has(String(node['Relation Name']))

test('another tenant finds nothing, whatever it asks for', async () => {
  for (const { sought } of questions) {
    const { text, values } = entriesStatement('elsewhere', sought, { order: 'newest', limit: 10 })
    expect((await reader.query(text, values)).rows).toEqual([])
  }
})
