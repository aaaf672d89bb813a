import type { PoolClient } from 'pg'
import { z } from 'zod'
import { appendAudit, type PurposeOfUse, sealDetails } from '#libs/audit'
import type { Principal } from '#libs/auth'
import { KeyDestroyedError, NotAuthenticError } from '#libs/crypto'
import { inTransaction, newId } from '#libs/platform'
import type { Imaging } from '../imaging.js'
import { reidentify } from '../storage/association.js'

/** The patient behind an image. */
export const Patient = z
  .strictObject({
    correlation_id: z.uuid(),
    patient_id: z.string(),
    physician_id: z.string(),
    purpose_of_use: z.string(),
    audit_entry_id: z.uuid(),
  })
  .meta({ id: 'Patient' })
export type Patient = z.infer<typeof Patient>

interface Request {
  caller: Principal
  correlationId: string
  purpose: PurposeOfUse
}

const open = async (client: PoolClient, imaging: Imaging, { caller, correlationId }: Request) => {
  try {
    return await reidentify(client, imaging.keyring, caller.tenant, correlationId)
  } catch (error) {
    if (error instanceof KeyDestroyedError) return undefined
    if (error instanceof NotAuthenticError) return error
    throw error
  }
}

/**
 * Reveals who an image is of. The entry that says who asked and why is committed before this resolves; when it cannot
 * be written this rejects and nothing is revealed. Undefined, with an entry of its own, where there is no such image
 * or its patient was erased. Rejects with NotAuthenticError, after an entry that says so, where what is stored was
 * altered or moved from elsewhere.
 */
export async function revealPatient(imaging: Imaging, request: Request): Promise<Patient | undefined> {
  const { caller, correlationId, purpose } = request
  const revealed = await inTransaction(imaging.pool, async (client) => {
    const opened = await open(client, imaging, request)
    const damaged = opened instanceof NotAuthenticError ? opened : undefined
    const found = opened instanceof NotAuthenticError ? undefined : opened
    const id = newId()
    const sealed =
      found &&
      (await sealDetails(
        client,
        imaging.keyring,
        { tenant: caller.tenant, patientRef: found.patientRef, entryId: id },
        found.identity,
      ))
    const entryId = await appendAudit(client, {
      id,
      tenant: caller.tenant,
      service: 'imaging',
      actor: caller.actor(),
      action: 'PHI_ACCESS',
      outcome: found ? 'success' : damaged ? 'failure' : 'denied',
      subject: { type: 'image', id: correlationId },
      ...(found ? { patientRef: found.patientRef } : {}),
      ...(sealed ? { sealed } : {}),
      correlationId,
      purposeOfUse: purpose,
      ...(damaged ? { details: { failure: 'ciphertext_not_authentic' } } : {}),
    })
    return { damaged, found, entryId }
  })
  const { damaged, found, entryId } = revealed
  if (damaged) throw damaged
  return (
    found && {
      correlation_id: correlationId,
      ...found.identity,
      purpose_of_use: purpose,
      audit_entry_id: entryId,
    }
  )
}
