import { appendAudit, sealDetails } from '#libs/audit'
import type { Principal } from '#libs/auth'
import { KeyDestroyedError } from '#libs/crypto'
import { type Correlation, inTransaction, newId, problems } from '#libs/platform'
import type { Imaging } from '../imaging.js'
import { imagesTotal } from '../metrics.js'
import { associate, patientRefOf } from '../storage/association.js'
import type { Blob } from '../storage/blob-store.js'
import { insertBlob, insertImage } from '../storage/images.sql.js'
import type { Submission } from './submission.js'
import type { Defect } from './verify.js'

interface Arrival {
  correlation: Correlation
  caller: Principal
  submission: Submission
}

const entryFor = async (imaging: Imaging, { correlation, caller, submission }: Arrival) => ({
  id: newId(),
  tenant: caller.tenant,
  service: 'imaging' as const,
  actor: caller.actor(),
  subject: { type: 'image', id: correlation.correlationId },
  patientRef: await patientRefOf(imaging.pool, imaging.patientIndex, caller.tenant, submission.patient_id),
  correlationId: correlation.correlationId,
})

/**
 * Takes an image in: its row, who it belongs to, the audit entry and the job commit together or not at all
 * (a file without a row is garbage, and collected). Throws the 409 problem for a patient who was erased.
 */
export async function receiveImage(imaging: Imaging, arrival: Arrival, image: Blob): Promise<void> {
  try {
    await store(imaging, arrival, image)
  } catch (error) {
    if (!(error instanceof KeyDestroyedError)) throw error
    await imaging.store.remove(image)
    throw problems.conflict({ detail: 'This patient was erased: nothing is stored under this identifier' })
  }
  imagesTotal.inc({ status: 'queued' })
  imaging.queue.relay()
}

async function store(imaging: Imaging, arrival: Arrival, image: Blob): Promise<void> {
  const { correlation, caller, submission } = arrival
  const { correlationId, traceparent } = correlation
  const { patient_id, physician_id, modality } = submission
  const entry = await entryFor(imaging, arrival)
  const { tenant, patientRef } = entry
  await inTransaction(imaging.pool, async (client) => {
    const jobId = await imaging.queue.enqueue(client, {
      subject: correlationId,
      ...(traceparent ? { traceparent } : {}),
    })
    await insertBlob(client, image)
    await insertImage(client, {
      ...{ correlationId, tenant, patientRef, modality, jobId },
      clientId: caller.clientId,
      original: image.id,
    })
    await associate(
      client,
      imaging.keyring,
      { correlationId, tenant, patientRef },
      { patient_id, physician_id },
    )
    await appendAudit(client, {
      ...entry,
      action: 'AI_ANALYSIS_REQUEST',
      outcome: 'success',
      sealed: await sealDetails(
        client,
        imaging.keyring,
        { tenant, patientRef, entryId: entry.id },
        { patient_id, physician_id },
      ),
      details: { modality, bytes: image.bytes },
    })
  })
}

/** Records that something was sent that is not a sound image; nothing of it is kept. */
export async function recordRejection(
  imaging: Imaging,
  arrival: Arrival,
  { defect, bytes }: { defect: Defect; bytes: number },
): Promise<void> {
  const { modality } = arrival.submission
  const entry = await entryFor(imaging, arrival)
  await inTransaction(imaging.pool, (client) =>
    appendAudit(client, {
      ...entry,
      action: 'IMAGE_REJECTED',
      outcome: 'failure',
      details: { defect, bytes, modality },
    }),
  )
  imagesTotal.inc({ status: 'rejected' })
}
