import { z } from 'zod'
import { AnalysisResult, DeidentificationSummary } from '../analysis/result.js'
import { type ImageRow, STEP_NAMES, type StepRow } from '../storage/images.sql.js'

const Step = z.strictObject({
  name: z.enum(STEP_NAMES),
  status: z.enum(['pending', 'running', 'done', 'failed', 'skipped']),
  attempt: z.int().optional(),
  started_at: z.iso.datetime().optional(),
  duration_ms: z.number().optional(),
})

/** What a client may know about an image: how far it is and what was found. Never who it is of. */
export const ImageView = z
  .strictObject({
    correlation_id: z.uuid(),
    status: z.enum(['queued', 'processing', 'completed', 'failed', 'quarantined']),
    modality: z.string(),
    received_at: z.iso.datetime(),
    finished_at: z.iso.datetime().optional(),
    steps: z.array(Step),
    deidentification: DeidentificationSummary.optional(),
    result: AnalysisResult.optional(),
    failure: z.strictObject({ code: z.string() }).optional(),
  })
  .meta({ id: 'ImageView' })
export type ImageView = z.infer<typeof ImageView>

function stepView(name: StepRow['name'], row: StepRow | undefined): z.infer<typeof Step> {
  if (!row) return { name, status: 'pending' }
  const { status, attempt, startedAt, durationMs } = row
  return {
    ...{ name, status, attempt },
    started_at: startedAt.toISOString(),
    ...(durationMs === null ? {} : { duration_ms: Math.round(durationMs * 10) / 10 }),
  }
}

/** The view of an image from its rows. Pure. */
export function viewOf(image: ImageRow, steps: StepRow[]): ImageView {
  const { correlationId, status, modality, receivedAt, finishedAt, deidentification, result, failure } = image
  return {
    correlation_id: correlationId,
    status,
    modality,
    received_at: receivedAt.toISOString(),
    ...(finishedAt ? { finished_at: finishedAt.toISOString() } : {}),
    steps: STEP_NAMES.map((name) =>
      stepView(
        name,
        steps.find((step) => step.name === name),
      ),
    ),
    ...(deidentification ? { deidentification: DeidentificationSummary.parse(deidentification) } : {}),
    ...(result ? { result: AnalysisResult.parse(result) } : {}),
    ...(failure ? { failure: { code: failure } } : {}),
  }
}
