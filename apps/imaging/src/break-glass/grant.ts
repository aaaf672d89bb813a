import { z } from 'zod'
import type { Actor } from '#libs/auth'

/** HL7 v3 ActReason (2.16.840.1.113883.5.8): break the glass. */
export const REASON = 'BTG'

/** Why somebody must know now who an image is of, without the right to. */
export const Breaking = z
  .strictObject({
    reason: z.literal(REASON, `must be ${REASON}`),
    /** What the emergency is; sealed under the patient's key. */
    explanation: z
      .string()
      .trim()
      .min(20, 'must say what the emergency is, in at least 20 characters')
      .max(1_000),
  })
  .meta({ id: 'Breaking' })
export type Breaking = z.infer<typeof Breaking>

export const Receipt = z
  .strictObject({
    grant_id: z.uuid(),
    correlation_id: z.uuid(),
    expires_at: z.iso.datetime(),
    patient_url: z.string(),
    audit_entry_id: z.uuid(),
  })
  .meta({ id: 'BreakGlassReceipt' })
export type Receipt = z.infer<typeof Receipt>

/** What a reviewer made of it. */
export const Review = z
  .strictObject({
    outcome: z.enum(['justified', 'not_justified']),
    note: z.string().trim().min(1).max(1_000).optional(),
  })
  .meta({ id: 'BreakGlassReview' })
export type Review = z.infer<typeof Review>

/** A grant as the review queue shows it. The explanation is only in the view of one, which is audited. */
export const GrantView = z
  .strictObject({
    grant_id: z.uuid(),
    correlation_id: z.uuid(),
    actor: z.strictObject({ type: z.enum(['client', 'user']), id: z.string() }),
    reason: z.string(),
    purpose_of_use: z.string(),
    granted_at: z.iso.datetime(),
    expires_at: z.iso.datetime(),
    reads: z.int(),
    review: z
      .strictObject({
        outcome: z.enum(['justified', 'not_justified']),
        reviewer: z.strictObject({ type: z.enum(['client', 'user']), id: z.string() }),
        reviewed_at: z.iso.datetime(),
      })
      .optional(),
  })
  .meta({ id: 'BreakGlassGrant' })
export type GrantView = z.infer<typeof GrantView>

export const GrantPage = z
  .strictObject({ grants: z.array(GrantView), next_cursor: z.string().nullable() })
  .meta({ id: 'BreakGlassPage' })
export type GrantPage = z.infer<typeof GrantPage>

export const GrantDetail = GrantView.extend({
  /** Null once the patient was erased. */
  explanation: z.string().nullable(),
}).meta({ id: 'BreakGlassDetail' })
export type GrantDetail = z.infer<typeof GrantDetail>

export const QueueQuery = z
  .strictObject({
    status: z.enum(['unreviewed', 'reviewed', 'all']).default('unreviewed'),
    cursor: z.uuid().optional(),
    limit: z.coerce.number().int().min(1).max(200).default(50),
  })
  .meta({ id: 'BreakGlassQuery' })
export type QueueQuery = z.infer<typeof QueueQuery>

const isSame = (one: Actor, other: Actor) => one.type === other.type && one.id === other.id

/** Whether a grant opens for who comes with it: it is theirs alone, and only for its time. */
export function admits(
  grant: { actor: Actor; expiresAt: Date },
  who: Actor,
  now: Date,
): 'open' | 'not-theirs' | 'ended' {
  if (!isSame(grant.actor, who)) return 'not-theirs'
  return now < grant.expiresAt ? 'open' : 'ended'
}

/** Nobody judges what they did themselves. */
export const mayReview = (grant: { actor: Actor }, who: Actor): boolean => !isSame(grant.actor, who)
