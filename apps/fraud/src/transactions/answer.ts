import { z } from 'zod'

/** What a payment system gets back. */
export const Decision = z
  .strictObject({
    transaction_id: z.string(),
    decision_id: z.uuid(),
    decision: z.enum(['approve', 'review', 'decline']),
    risk_score: z.number().min(0).max(1),
    /** True where the model could not be asked and the rules alone decided. */
    degraded: z.boolean(),
    degraded_reason: z.string().optional(),
    reasons: z.array(
      z.strictObject({
        code: z.string(),
        feature: z.string(),
        value: z.number(),
        contribution: z.number(),
        message: z.string(),
      }),
    ),
    features: z.record(z.string(), z.number()),
    model: z.strictObject({ name: z.string(), version: z.string() }).nullable(),
    policy_version: z.string(),
    audit_entry_id: z.uuid(),
    correlation_id: z.uuid(),
    processing_time_ms: z.number(),
  })
  .meta({ id: 'Decision' })
export type Decision = z.infer<typeof Decision>
