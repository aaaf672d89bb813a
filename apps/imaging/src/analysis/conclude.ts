import { appendAudit } from '#libs/audit'
import { inTransaction } from '#libs/platform'
import type { Imaging } from '../imaging.js'
import { imagesTotal } from '../metrics.js'
import { associateFinding } from '../storage/association.js'
import { endImage, fence, type ImageRow } from '../storage/images.sql.js'
import type { AnalysisResult } from './result.js'
import type { PermanentFailure } from './run.js'

const entryOf = ({ tenant, correlationId, patientRef }: ImageRow) => ({
  tenant,
  service: 'imaging' as const,
  actor: { type: 'system' as const, id: 'imaging-pipeline' },
  subject: { type: 'image', id: correlationId },
  patientRef,
  correlationId,
})

/** The result, its sealed association with the patient and the audit entry: together, once, by the run that counts. */
export async function concludeSuccess(
  imaging: Imaging,
  image: ImageRow,
  result: AnalysisResult,
): Promise<void> {
  const { model, prediction, confidence, reason } = result
  await inTransaction(imaging.pool, async (client) => {
    await fence(client, image)
    await associateFinding(client, imaging.keyring, image, { prediction, confidence, model })
    await appendAudit(client, {
      ...entryOf(image),
      action: 'AI_ANALYSIS_SUCCESS',
      outcome: 'success',
      details: {
        modality: image.modality,
        attempt: image.attempt,
        ...(model ? { model: { ...model } } : {}),
        ...(reason ? { reason: reason.code } : {}),
      },
    })
    await endImage(client, image.correlationId, { status: 'completed', result })
  })
  imagesTotal.inc({ status: 'completed' })
}

/** The end without a result, and its audit entry: together, once. */
export async function concludeFailure(
  imaging: Imaging,
  image: ImageRow,
  { status, code, deidentification }: PermanentFailure,
): Promise<void> {
  await inTransaction(imaging.pool, async (client) => {
    await fence(client, image)
    await appendAudit(client, {
      ...entryOf(image),
      action: 'AI_ANALYSIS_ERROR',
      outcome: 'failure',
      details: { modality: image.modality, attempt: image.attempt, status, code },
    })
    await endImage(client, image.correlationId, {
      ...{ status, failure: code },
      ...(deidentification ? { deidentification } : {}),
    })
  })
  imagesTotal.inc({ status })
}
