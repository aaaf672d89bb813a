import { z } from 'zod'
import { Reason } from '../approvals/approval.js'
import { identifier, instant, patientIdentifier } from '../fields.js'

export const RETENTION_CLASSES = ['phi', 'payment', 'default'] as const

const Period = z
  .strictObject({
    from: instant.optional(),
    to: instant.optional(),
    class: z.enum(RETENTION_CLASSES).optional(),
  })
  .refine((period) => Object.values(period).some((bound) => bound !== undefined), {
    message: 'needs at least one of from, to and class',
  })
  .refine(({ from, to }) => !from || !to || Date.parse(from) < Date.parse(to), {
    path: ['to'],
    message: 'must be later than from',
  })

/** What to hold: exactly one of a patient, a subject, a correlation, or everything (of a class) in a period. */
export const NewHold = z
  .strictObject({
    /** The patient's own identifier; only its keyed hash is kept. */
    patient: patientIdentifier.optional(),
    subject: identifier.optional(),
    correlation_id: z.uuid().optional(),
    period: Period.optional(),
    reason: Reason,
  })
  .refine(
    ({ patient, subject, correlation_id, period }) =>
      [patient, subject, correlation_id, period].filter((scope) => scope !== undefined).length === 1,
    { message: 'needs exactly one of patient, subject, correlation_id and period' },
  )
  .meta({ id: 'NewLegalHold' })
export type NewHold = z.infer<typeof NewHold>

export const Hold = z
  .strictObject({
    id: z.uuid(),
    scope: z.enum(['patient', 'subject', 'correlation', 'period']),
    patient_ref: z.string().optional(),
    subject: z.string().optional(),
    correlation_id: z.uuid().optional(),
    from: z.iso.datetime().optional(),
    to: z.iso.datetime().optional(),
    class: z.enum(RETENTION_CLASSES).optional(),
    reason: z.string(),
    placed_by: z.strictObject({ issuer: z.string(), subject: z.string(), client_id: z.string() }),
    placed_at: z.iso.datetime(),
    released_at: z.iso.datetime().optional(),
    release_approval: z.uuid().optional(),
  })
  .meta({ id: 'LegalHold' })
export type Hold = z.infer<typeof Hold>

export const HoldPage = z
  .strictObject({ holds: z.array(Hold), next_cursor: z.string().nullable() })
  .meta({ id: 'LegalHoldPage' })
export type HoldPage = z.infer<typeof HoldPage>

export const HoldQuery = z
  .strictObject({
    status: z.enum(['standing', 'released']).optional(),
    cursor: z.string().max(256).optional(),
    limit: z.coerce.number().int().min(1).max(200).default(50),
  })
  .meta({ id: 'LegalHoldQuery' })
export type HoldQuery = z.infer<typeof HoldQuery>

export const HoldRelease = z.strictObject({ reason: Reason }).meta({ id: 'LegalHoldRelease' })
export type HoldRelease = z.infer<typeof HoldRelease>
