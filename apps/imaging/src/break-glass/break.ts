import type { PoolClient } from 'pg'
import { Counter } from 'prom-client'
import { type AuditEntry, appendAudit, type PurposeOfUse } from '#libs/audit'
import type { Principal } from '#libs/auth'
import { existingDataKey, type FieldPlace, KeyDestroyedError, sealField } from '#libs/crypto'
import { correlation, inTransaction, metrics, newId } from '#libs/platform'
import { Outbox } from '#libs/queue'
import type { Imaging } from '../imaging.js'
import type { Patient } from '../results/patient.js'
import { type Identity, reidentify } from '../storage/association.js'
import { admits, type Breaking, REASON, type Receipt } from './grant.js'
import { findGrant, type GrantState, insertGrant, insertRead } from './grants.sql.js'

const events = new Counter({
  name: 'break_glass_total',
  help: 'Emergency access to patients: granted, read, denied. Each deserves somebody’s attention at once',
  labelNames: ['event'],
  registers: [metrics],
})

export const keyScopeOf = ({ tenant, patientRef }: { tenant: string; patientRef: string }) => ({
  tenant,
  purpose: 'imaging',
  subject: patientRef,
})
export const placeOf = (
  { tenant, id }: { tenant: string; id: string },
  column: 'explanation' | 'note',
): FieldPlace => ({
  tenant,
  table: 'imaging.break_glass',
  column,
  row: id,
})

/** What all entries of emergency access have in common. */
export const entryOf = (caller: Principal, action: string, grantId: string | undefined) =>
  ({
    tenant: caller.tenant,
    service: 'imaging',
    actor: caller.actor(),
    action,
    ...(grantId ? { subject: { type: 'break-glass', id: grantId } } : {}),
    correlationId: correlation().correlationId,
    details: { reason: REASON },
  }) satisfies Partial<AuditEntry>

/** Somebody on duty must hear of it now: a warning in the log, a metric, an event that waits to be sent. */
async function alert(imaging: Imaging, client: PoolClient, grantId: string): Promise<void> {
  await new Outbox(imaging.pool, 'imaging.outbox', 'break-glass').add(client, { subject: grantId })
}

const found = async (client: PoolClient, imaging: Imaging, tenant: string, correlationId: string) => {
  try {
    return await reidentify(client, imaging.keyring, tenant, correlationId)
  } catch (error) {
    if (error instanceof KeyDestroyedError) return undefined
    throw error
  }
}

interface Emergency {
  caller: Principal
  correlationId: string
  purpose: PurposeOfUse
  breaking: Breaking
}

/**
 * Grants the caller, and nobody else, a look at who an image is of, for a limited time. Grant, entry and alert commit
 * together or not at all. Undefined, with a denied entry, where the tenant has no such image or its patient was erased.
 */
export async function breakGlass(imaging: Imaging, emergency: Emergency): Promise<Receipt | undefined> {
  const { caller, correlationId, purpose, breaking } = emergency
  const id = newId()
  const receipt = await inTransaction(imaging.pool, async (client) => {
    const image = await found(client, imaging, caller.tenant, correlationId)
    const entry = { ...entryOf(caller, 'BREAK_GLASS_GRANTED', id), correlationId, purposeOfUse: purpose }
    if (!image) {
      await appendAudit(client, {
        ...entry,
        subject: { type: 'image', id: correlationId },
        outcome: 'denied',
      })
      return undefined
    }
    const { patientRef } = image
    const key = await existingDataKey(
      client,
      imaging.keyring,
      keyScopeOf({ tenant: caller.tenant, patientRef }),
    )
    const place = placeOf({ tenant: caller.tenant, id }, 'explanation')
    const explanation = sealField(key, place, Buffer.from(breaking.explanation, 'utf8'))
    const grant = {
      id,
      tenant: caller.tenant,
      correlationId,
      patientRef,
      actor: caller.actor(),
      purpose,
      explanation,
    }
    const expiresAt = await insertGrant(client, grant, imaging.limits.breakGlassMinutes)
    await alert(imaging, client, id)
    const sealed = explanation.toString('base64')
    const auditEntryId = await appendAudit(client, { ...entry, outcome: 'success', patientRef, sealed })
    return {
      grant_id: id,
      correlation_id: correlationId,
      expires_at: expiresAt.toISOString(),
      patient_url: `/api/v1/break-glass/${id}/patient`,
      audit_entry_id: auditEntryId,
    }
  })
  events.inc({ event: receipt ? 'granted' : 'denied' })
  imaging.logger.warn({ grant: receipt?.grant_id, client_id: caller.clientId }, 'the glass is broken')
  return receipt
}

/** What a look through the broken glass shows; `ended` where its time is over. */
export type Look = { state: 'shown'; patient: Patient } | { state: 'missing' | 'ended' }

interface Looking {
  caller: Principal
  grantId: string
  purpose: PurposeOfUse
}

/** Shows who the image of a grant is of. The entry is committed before this resolves, also where nothing is shown. */
export async function lookThrough(imaging: Imaging, looking: Looking): Promise<Look> {
  const { caller, grantId, purpose } = looking
  const look = await inTransaction(imaging.pool, async (client): Promise<Look> => {
    const known = await findGrant(client, caller.tenant, grantId)
    const state = known ? admits(known.grant, caller.actor(), known.now) : 'not-theirs'
    const image =
      state === 'open' && known
        ? await found(client, imaging, caller.tenant, known.grant.correlationId)
        : undefined
    const entryId = await appendAudit(client, {
      ...entryOf(caller, 'BREAK_GLASS_READ', grantId),
      purposeOfUse: purpose,
      outcome: image ? 'success' : 'denied',
      ...(image && known ? { patientRef: image.patientRef, correlationId: known.grant.correlationId } : {}),
    })
    if (image && known) {
      await insertRead(client, grantId, entryId)
      return { state: 'shown', patient: patientOf(known.grant, image.identity, purpose, entryId) }
    }
    return { state: state === 'ended' ? 'ended' : 'missing' }
  })
  events.inc({ event: look.state === 'shown' ? 'read' : 'denied' })
  imaging.logger.warn(
    { grant: grantId, client_id: caller.clientId, state: look.state },
    'a look through broken glass',
  )
  return look
}

const patientOf = (grant: GrantState, identity: Identity, purpose: string, entryId: string): Patient => ({
  correlation_id: grant.correlationId,
  ...identity,
  purpose_of_use: purpose,
  audit_entry_id: entryId,
})
