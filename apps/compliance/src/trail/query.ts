import { z } from 'zod'
import { AuditEntry } from '#libs/audit'
import { identifier, instant, patientIdentifier } from '../fields.js'

const Filters = z.strictObject({
  actor: identifier.optional(),
  action: AuditEntry.shape.action.optional(),
  subject: identifier.optional(),
  /** The patient's own identifier: hashed before it is looked up, stored and logged nowhere. */
  patient: patientIdentifier.optional(),
  correlation_id: z.uuid().optional(),
  outcome: AuditEntry.shape.outcome.optional(),
  service: AuditEntry.shape.service.optional(),
  /** Recorded at this time or later. */
  from: instant.optional(),
  /** Recorded before this time. */
  to: instant.optional(),
})

const inOrder = ({ from, to }: z.infer<typeof Filters>): boolean =>
  !from || !to || Date.parse(from) <= Date.parse(to)
const ORDER = { path: ['to'], message: 'must not be earlier than from' }

/** What an entry must be; all that are given must hold. */
export const EntryFilters = Filters.refine(inOrder, ORDER)
export type EntryFilters = z.infer<typeof EntryFilters>

/** Filters with a page of what they find; in the query string or, where a patient is named, better in a body. */
export const EntryQuery = Filters.extend({
  order: z.enum(['newest', 'oldest']).default('newest'),
  /** Also count what the filters find: exactly up to 10,000, from there on as "at least". */
  count: z.union([z.boolean(), z.stringbool()]).default(false),
  cursor: z.string().max(256).optional(),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
})
  .refine(inOrder, ORDER)
  .meta({ id: 'EntryQuery' })
export type EntryQuery = z.infer<typeof EntryQuery>

/** Filters as the database sees them: the patient by keyed hash. */
export type Sought = Omit<EntryFilters, 'patient'> & { patientRef?: string | undefined }

/** Filters with several actions in place of one. */
export type SoughtMany = Sought & { actions?: string[] | undefined }
