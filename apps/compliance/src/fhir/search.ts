import { z } from 'zod'
import { identifier, instant, patientIdentifier } from '../fields.js'
import type { SoughtMany } from '../trail/query.js'
import { actionsOf } from './balp.js'

/** FHIR dateTime of at least a day; what is not given is the beginning of it. */
const WHEN = /^(eq|ge|gt|le|lt)?(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)))?$/
const DAY_MS = 86_400_000
/** Years of four digits, which the database reads as they are written. */
const [FIRST, LAST] = [Date.parse('0001-01-01T00:00:00.000Z'), Date.parse('9999-12-31T23:59:59.999Z')]
const ACTION_SYSTEM = 'urn:vigil:audit-action|'
// Whoever searches leaves what they searched for in the log: no text that may be a name.
const SUBTYPE = /^(?:urn:vigil:audit-action\|)?[A-Z][A-Z0-9_]*$/

function isOfCalendar(parameter: string): boolean {
  const [, , day, time = '00:00:00Z'] = WHEN.exec(parameter) ?? []
  const withSeconds = time.replace(/^(\d\d:\d\d)(?!:)/, '$1:00')
  return instant.safeParse(`${day}T${withSeconds}`).success
}

const when = z
  .string()
  .regex(WHEN, 'must be a date or a time with zone, after eq, ge, gt, le or lt')
  .refine(isOfCalendar, 'must be a day and a time that there is')

/** Search parameters of AuditEvent that Vigil answers. */
export const AuditEventSearch = z
  .strictObject({
    /** Once or twice: `ge2026-01-01`, `lt2026-02-01T00:00:00Z`, or a day. */
    date: z.union([when, z.array(when).max(2)]).optional(),
    /** Identifier of a client or a person. */
    agent: identifier.optional(),
    /** The patient's own identifier, or the keyed hash that the events show; in a POST it stands in no URL. */
    patient: patientIdentifier.optional(),
    action: z.enum(['C', 'R', 'U', 'D', 'E']).optional(),
    outcome: z.enum(['0', '4', '8', '12']).optional(),
    /** `urn:vigil:audit-action|PHI_ACCESS`, or the code alone. */
    subtype: z.string().max(128).regex(SUBTYPE, 'must be an action, alone or after its system').optional(),
    _count: z.coerce.number().int().min(1).max(200).default(50),
    _cursor: z.string().max(256).optional(),
  })
  .meta({ id: 'AuditEventSearch' })
export type AuditEventSearch = z.infer<typeof AuditEventSearch>

const OUTCOMES = { '0': 'success', '4': 'denied', '8': 'failure', '12': 'failure' } as const

interface Range {
  from?: string
  to?: string
}

/** How many milliseconds a time names: as exactly as it is written, at least one. */
function precisionOf(time: string | undefined): number {
  if (!time) return DAY_MS
  const [, seconds, fraction] = /^\d\d:\d\d(:\d\d)?(?:\.(\d+))?/.exec(time) ?? []
  if (fraction) return Math.max(1, 10 ** (3 - fraction.length))
  return seconds ? 1000 : 60_000
}

/** The half-open range that a date parameter names (FHIR R4, 3.1.1.4.7). */
export function rangeOf(parameter: string): Range {
  const [, prefix = 'eq', day, time] = WHEN.exec(parameter) ?? []
  const start = Date.parse(time ? `${day}T${time}` : `${day}T00:00:00Z`)
  const end = start + precisionOf(time)
  const text = (ms: number) => new Date(Math.min(Math.max(ms, FIRST), LAST)).toISOString()
  if (prefix === 'ge') return { from: text(start) }
  if (prefix === 'gt') return { from: text(end) }
  if (prefix === 'le') return { to: text(end) }
  if (prefix === 'lt') return { to: text(start) }
  return { from: text(start), to: text(end) }
}

function period(date: AuditEventSearch['date']): Range {
  const ranges = [date ?? []].flat().map(rangeOf)
  const from = ranges
    .flatMap((range) => range.from ?? [])
    .sort()
    .at(-1)
  const to = ranges.flatMap((range) => range.to ?? []).sort()[0]
  return { ...(from ? { from } : {}), ...(to ? { to } : {}) }
}

/** The search as filters of the trail; the patient is hashed by the caller. */
export function soughtEvents(search: AuditEventSearch, patientRef: string | undefined): SoughtMany {
  const { agent, action, outcome, subtype } = search
  const code = subtype?.startsWith(ACTION_SYSTEM) ? subtype.slice(ACTION_SYSTEM.length) : subtype
  const actions = action && actionsOf(action)
  return {
    ...(agent ? { actor: agent } : {}),
    ...(patientRef ? { patientRef } : {}),
    ...(outcome ? { outcome: OUTCOMES[outcome] } : {}),
    ...(code !== undefined && actions ? { actions: actions.filter((name) => name === code) } : {}),
    ...(code !== undefined && !actions ? { action: code } : {}),
    ...(code === undefined && actions ? { actions } : {}),
    ...period(search.date),
  }
}
