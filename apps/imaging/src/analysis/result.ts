import { z } from 'zod'

/** What was done to an image before any model or reader saw it: counts, never values. */
export const DeidentificationSummary = z
  .strictObject({
    profile: z.string(),
    options: z.array(z.string()),
    outcome: z.enum(['clean', 'quarantined']),
    /** How many attributes each action was applied to. */
    actions: z.record(z.string(), z.int()),
  })
  .meta({ id: 'DeidentificationSummary' })
export type DeidentificationSummary = z.infer<typeof DeidentificationSummary>

const probability = z.number().min(0).max(1)

/** Why an image that is in order has no prediction. */
export const NoPrediction = z.enum([
  'no_model_for_modality',
  'no_pixels',
  'undecodable_pixels',
  'out_of_domain',
])
export type NoPrediction = z.infer<typeof NoPrediction>

/** A model's finding on one image. `prediction` is null, with a reason, where no model may speak. */
export const AnalysisResult = z
  .strictObject({
    prediction: z.string().nullable(),
    /** Calibrated probability of the predicted class. */
    confidence: probability.nullable(),
    findings: z.array(z.strictObject({ label: z.string(), probability })),
    model: z.strictObject({ name: z.string(), version: z.string(), sha256: z.string() }).nullable(),
    reason: z.strictObject({ code: NoPrediction, detail: z.string() }).optional(),
  })
  .meta({ id: 'AnalysisResult' })
export type AnalysisResult = z.infer<typeof AnalysisResult>

/** The result of an image that no model may speak on. */
export const withoutPrediction = (code: NoPrediction, detail: string): AnalysisResult => ({
  prediction: null,
  confidence: null,
  findings: [],
  model: null,
  reason: { code, detail },
})
