import { z } from 'zod'
import type { Position } from '../page.js'

const text = z.string().min(1).max(128)
const instant = z.iso.datetime({ offset: true })

/** Filters of the trail; all that are given must hold. */
export const EntryQuery = z
  .strictObject({
    actor: text.optional(),
    action: z
      .string()
      .regex(/^[A-Z][A-Z0-9_]{2,63}$/)
      .optional(),
    subject: text.optional(),
    /** The patient's own identifier: hashed before it is looked up, stored and logged nowhere. */
    patient: text.optional(),
    correlation_id: z.uuid().optional(),
    outcome: z.enum(['success', 'failure', 'denied']).optional(),
    service: z.enum(['fraud', 'imaging', 'compliance']).optional(),
    from: instant.optional(),
    to: instant.optional(),
    cursor: z.string().max(256).optional(),
    limit: z.coerce.number().int().min(1).max(1000).default(100),
  })
  .meta({ id: 'EntryQuery' })
export type EntryQuery = z.infer<typeof EntryQuery>

interface Statement {
  text: string
  values: unknown[]
}

/** The filters as SQL conditions with their values; the patient comes as the keyed hash. */
function conditions(tenant: string, query: EntryQuery, patientRef: string | undefined): Statement {
  const values: unknown[] = [tenant]
  const clauses = ['e.tenant = $1']
  const add = (clause: (parameter: string) => string, value: unknown) => {
    if (value === undefined) return
    values.push(value)
    clauses.push(clause(`$${values.length}`))
  }
  add((p) => `e.actor_id = ${p}`, query.actor)
  add((p) => `e.action = ${p}`, query.action)
  add((p) => `e.subject_id = ${p}`, query.subject)
  add((p) => `e.patient_ref = ${p}`, patientRef)
  add((p) => `e.correlation_id = ${p}::uuid`, query.correlation_id)
  add((p) => `e.outcome = ${p}`, query.outcome)
  add((p) => `e.service = ${p}`, query.service)
  add((p) => `e.recorded_at >= ${p}::timestamptz`, query.from)
  add((p) => `e.recorded_at < ${p}::timestamptz`, query.to)
  return { text: clauses.join(' AND '), values }
}

const INSTANT = `to_char(e.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`

/** One page of entries, newest first, from a keyset position; one row more than the limit tells of a next page. */
export function entriesStatement(
  tenant: string,
  query: EntryQuery,
  patientRef: string | undefined,
  after: Position | undefined,
): Statement {
  const { text, values } = conditions(tenant, query, patientRef)
  const where = after
    ? `${text} AND (e.recorded_at, e.id) < ($${values.length + 1}::timestamptz, $${values.length + 2}::uuid)`
    : text
  const all = after ? [...values, after.at, after.id] : values
  return {
    text: `SELECT e.id, ${INSTANT} AS recorded_at, e.body, l.log_index
      FROM audit.entry e LEFT JOIN audit.leaf l ON l.entry_id = e.id
      WHERE ${where} ORDER BY e.recorded_at DESC, e.id DESC LIMIT ${query.limit + 1}`,
    values: all,
  }
}

/** One entry of the tenant. */
export const entryStatement = (tenant: string, id: string): Statement => ({
  text: `SELECT e.id, ${INSTANT} AS recorded_at, e.body, l.log_index
    FROM audit.entry e LEFT JOIN audit.leaf l ON l.entry_id = e.id WHERE e.tenant = $1 AND e.id = $2`,
  values: [tenant, id],
})
