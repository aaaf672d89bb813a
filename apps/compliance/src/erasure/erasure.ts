import { z } from 'zod'
import { Approval, Reason } from '../approvals/approval.js'

export const ErasureRequest = z.strictObject({ reason: Reason }).meta({ id: 'ErasureRequest' })
export type ErasureRequest = z.infer<typeof ErasureRequest>

/** What became of a patient's keys. */
export const Erasure = z
  .strictObject({
    /** Keyed hash of the patient's identifier, as the trail shows it. */
    patient_ref: z.string(),
    status: z.enum(['none', 'waiting', 'erased']),
    erased_at: z.iso.datetime().optional(),
    /** The request that waits for a second person. */
    approval: Approval.optional(),
  })
  .meta({ id: 'Erasure' })
export type Erasure = z.infer<typeof Erasure>
