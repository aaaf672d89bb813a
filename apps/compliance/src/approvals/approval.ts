import { z } from 'zod'
import type { Principal } from '#libs/auth'
import { withoutControls } from '../fields.js'

/** Acts that one person asks for and another must agree to. */
export const APPROVAL_KINDS = ['retention.drop', 'legal-hold.release', 'patient.erasure'] as const
export type ApprovalKind = (typeof APPROVAL_KINDS)[number]

/** Why an act is wanted: sealed when it is stored. It should name the file of the matter, not the person. */
export const Reason = z
  .string()
  .trim()
  .min(3)
  .max(500)
  .regex(...withoutControls)

const Person = z.strictObject({ issuer: z.string(), subject: z.string(), client_id: z.string() })
export type Person = z.infer<typeof Person>

/** The person of a request. Who somebody is, is the issuer with the subject; the client is the tool in their hand. */
export const personOf = ({ issuer, subject, clientId }: Principal): Person => ({
  issuer,
  subject,
  client_id: clientId,
})

export const Approval = z
  .strictObject({
    id: z.uuid(),
    kind: z.enum(APPROVAL_KINDS),
    /** What the act is done to: an id or the keyed hash of a patient. */
    subject: z.string(),
    parameters: z.record(z.string(), z.json()),
    reason: z.string(),
    status: z.enum(['pending', 'approved', 'done', 'rejected', 'expired']),
    requested_by: Person,
    requested_at: z.iso.datetime(),
    expires_at: z.iso.datetime(),
    decided_by: Person.optional(),
    decided_at: z.iso.datetime().optional(),
  })
  .meta({ id: 'Approval' })
export type Approval = z.infer<typeof Approval>

export const ApprovalPage = z
  .strictObject({ approvals: z.array(Approval), next_cursor: z.string().nullable() })
  .meta({ id: 'ApprovalPage' })
export type ApprovalPage = z.infer<typeof ApprovalPage>

export const ApprovalQuery = z
  .strictObject({
    status: z.enum(['pending', 'decided']).optional(),
    cursor: z.string().max(256).optional(),
    limit: z.coerce.number().int().min(1).max(200).default(50),
  })
  .meta({ id: 'ApprovalQuery' })
export type ApprovalQuery = z.infer<typeof ApprovalQuery>
