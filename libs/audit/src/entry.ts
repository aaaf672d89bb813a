import { z } from 'zod'

const text = (max: number) => z.string().min(1).max(max)

/** What a caller says of an act. Never a name, a date of birth, a card number or any other identifier in clear. */
export const AuditEntry = z.strictObject({
  id: z.uuid().optional(),
  tenant: text(64),
  service: z.enum(['fraud', 'imaging', 'compliance']),
  actor: z.strictObject({ type: z.enum(['client', 'user', 'system']), id: text(128) }),
  action: z.string().regex(/^[A-Z][A-Z0-9_]{2,63}$/),
  outcome: z.enum(['success', 'failure', 'denied']),
  subject: z.strictObject({ type: text(32), id: text(128) }).optional(),
  /** Keyed hash of the patient (blind index), never the patient's own identifier. */
  patientRef: text(128).optional(),
  correlationId: z.uuid(),
  /** HL7 v3 PurposeOfUse code, where PHI leaves. */
  purposeOfUse: text(16).optional(),
  details: z.record(z.string(), z.json()).optional(),
  /** Details that identify a person, sealed under that person's key. */
  sealed: text(16_384).optional(),
})
export type AuditEntry = z.infer<typeof AuditEntry>
