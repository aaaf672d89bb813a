import { AuditEntry } from '#libs/audit'
import type { Position } from '../page.js'
import type { EntryQuery, Sought, SoughtMany } from './query.js'

interface Statement {
  text: string
  values: unknown[]
}

/** Collects values and hands out their places in the statement. */
class Values {
  readonly all: unknown[] = []
  add(value: unknown, type = 'text'): string {
    this.all.push(value)
    return `$${this.all.length}::${type}`
  }
}

const OUTCOMES = AuditEntry.shape.outcome.options
const SERVICES = AuditEntry.shape.service.options

/** Filters by which few entries are found: the first that is given leads, the others only check what it finds. */
const LEADING = [
  ['correlationId', 'correlation_id', 'uuid'],
  ['patientRef', 'patient_ref', 'text'],
  ['subject', 'subject_id', 'text'],
] as const
const KINDS = [
  ['actor', 'actor_id', 'text'],
  ['action', 'action', 'text'],
  ['outcome', 'outcome', 'text'],
  ['service', 'service', 'text'],
] as const

type Known = Record<(typeof LEADING | typeof KINDS)[number][0], string | undefined>

/**
 * A condition that no index serves: the plan must not depend on what the statistics say of a rare value. Walking all
 * entries of a common action for a patient who has three of them would be the price of a wrong guess.
 */
const check = (column: string, type: string, value: string) =>
  type === 'uuid' ? `e.${column}::text = ${value}::text` : `(e.${column} || '') = ${value}`

function timeRange(values: Values, { from, to }: Sought): string[] {
  return [
    ...(from ? [`e.recorded_at >= ${values.add(from, 'timestamptz')}`] : []),
    ...(to ? [`e.recorded_at < ${values.add(to, 'timestamptz')}`] : []),
  ]
}

/** Where a page begins. The single comparison lets partitions be left out, which that of the pair does not. */
function beyond(values: Values, after: Position | undefined, order: EntryQuery['order']): string[] {
  if (!after) return []
  const [at, id] = [values.add(after.at, 'timestamptz'), values.add(after.id, 'uuid')]
  const sign = order === 'newest' ? '<' : '>'
  return [`e.recorded_at ${sign}= ${at}`, `(e.recorded_at, e.id) ${sign} (${at}, ${id})`]
}

/**
 * The source of entries and the conditions on them. Every plan reads ordered ranges of one index: of the leading
 * filter's, of the tenant's, or, for actor, action, outcome and service in any combination, one range for each
 * (outcome, service) that is possible: nine at most.
 */
function sourceOf(values: Values, tenant: string, sought: SoughtMany): { kinds: string; where: string[] } {
  const known: Known = {
    ...{ actor: sought.actor, action: sought.action, outcome: sought.outcome, service: sought.service },
    ...{ correlationId: sought.correlation_id, patientRef: sought.patientRef, subject: sought.subject },
  }
  const given = <T extends (typeof LEADING | typeof KINDS)[number]>(list: readonly T[]) =>
    list.filter(([name]) => known[name] !== undefined)
  const where = [`e.tenant = ${values.add(tenant)}`]
  const [leader, ...others] = given(LEADING)
  if (leader) {
    const [name, column, type] = leader
    where.push(`e.${column} = ${values.add(known[name], type)}`)
    for (const [key, other, kind] of [...others, ...given(KINDS)])
      where.push(check(other, kind, values.add(known[key], kind)))
    if (sought.actions) where.push(`(e.action || '') = ANY(${values.add(sought.actions, 'text[]')})`)
    return { kinds: '', where: [...where, ...timeRange(values, sought)] }
  }
  if (given(KINDS).length === 0 && !sought.actions)
    return { kinds: '', where: [...where, ...timeRange(values, sought)] }
  for (const name of ['actor', 'action'] as const)
    if (known[name]) where.push(`e.${name === 'actor' ? 'actor_id' : name} = ${values.add(known[name])}`)
  where.push('e.outcome = kind.outcome', 'e.service = kind.service')
  const outcomes = values.add(known.outcome ? [known.outcome] : OUTCOMES, 'text[]')
  const services = values.add(known.service ? [known.service] : SERVICES, 'text[]')
  let kinds = `unnest(${outcomes}) AS o (outcome) CROSS JOIN unnest(${services}) AS s (service)`
  if (sought.actions) {
    kinds += ` CROSS JOIN unnest(${values.add(sought.actions, 'text[]')}) AS a (action)`
    where.push('e.action = kind.action')
  }
  return {
    kinds: `(SELECT * FROM ${kinds}) AS kind`,
    where: [...where, ...timeRange(values, sought)],
  }
}

/** The first `limit` of every range, then the first of all of them. */
function pick(columns: string, { kinds, where }: ReturnType<typeof sourceOf>, order: string, limit: number) {
  const ranges = `SELECT ${columns} FROM audit.entry e WHERE ${where.join(' AND ')} ${order} LIMIT ${limit}`
  return kinds ? `SELECT e.* FROM ${kinds} CROSS JOIN LATERAL (${ranges}) e ${order} LIMIT ${limit}` : ranges
}

const INSTANT = `to_char(e.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`

/** One page of entries from a keyset position; one row more than the limit tells of a next page. */
export function entriesStatement(
  tenant: string,
  sought: SoughtMany,
  { order, limit }: Pick<EntryQuery, 'order' | 'limit'>,
  after?: Position,
): Statement {
  const values = new Values()
  const source = sourceOf(values, tenant, sought)
  const where = [...source.where, ...beyond(values, after, order)]
  const way = order === 'newest' ? 'DESC' : 'ASC'
  const by = `ORDER BY e.recorded_at ${way}, e.id ${way}`
  const page = pick('e.id, e.recorded_at, e.body', { ...source, where }, by, limit + 1)
  return {
    text: `SELECT e.id, ${INSTANT} AS recorded_at, e.body, l.log_index
      FROM (${page}) e LEFT JOIN audit.leaf l ON l.entry_id = e.id ${by}`,
    values: values.all,
  }
}

/** Where the entries stand that the filters find, oldest first: one page from a keyset position. */
export function positionsStatement(
  tenant: string,
  sought: Sought,
  limit: number,
  after?: Position,
): Statement {
  const values = new Values()
  const source = sourceOf(values, tenant, sought)
  const where = [...source.where, ...beyond(values, after, 'oldest')]
  const by = 'ORDER BY e.recorded_at, e.id'
  return {
    text: `SELECT e.id, ${INSTANT} AS recorded_at, l.log_index
      FROM (${pick('e.id, e.recorded_at', { ...source, where }, by, limit)}) e
      LEFT JOIN audit.leaf l ON l.entry_id = e.id ${by}`,
    values: values.all,
  }
}

/** Up to here entries are counted exactly. */
export const COUNT_LIMIT = 10_000

/** How many entries the filters find, `COUNT_LIMIT + 1` at most. */
export function countStatement(tenant: string, sought: SoughtMany): Statement {
  const values = new Values()
  const source = sourceOf(values, tenant, sought)
  return {
    text: `SELECT count(*)::int AS count FROM (${pick('1', source, '', COUNT_LIMIT + 1)}) found`,
    values: values.all,
  }
}

/** One entry of the tenant. */
export const entryStatement = (tenant: string, id: string): Statement => ({
  text: `SELECT e.id, ${INSTANT} AS recorded_at, e.body, l.log_index
    FROM audit.entry e LEFT JOIN audit.leaf l ON l.entry_id = e.id WHERE e.tenant = $1 AND e.id = $2`,
  values: [tenant, id],
})
