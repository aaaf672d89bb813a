import type { PoolClient } from 'pg'
import { appendAudit } from '#libs/audit'
import type { Principal } from '#libs/auth'
import { correlation, newId } from '#libs/platform'
import { personOf } from '../approvals/approval.js'
import { openReason, sealReason } from '../approvals/sealed-reason.js'
import type { Compliance } from '../compliance.js'
import { patientRefOf } from '../patient-ref.js'
import type { Hold, NewHold } from './hold.js'
import { findHold, type HeldThing, type HoldRow, insertHold } from './holds.sql.js'

function heldBy({ subject, correlation_id, period }: NewHold, patientRef: string | undefined): HeldThing {
  if (patientRef !== undefined) return { scope: 'patient', patientRef }
  if (subject !== undefined) return { scope: 'subject', subject }
  if (correlation_id !== undefined) return { scope: 'correlation', correlationId: correlation_id }
  return { scope: 'period', ...period }
}

/** Places a hold, with its audit entry, in the caller's transaction: one person is enough to keep things. */
export async function placeHold(
  client: PoolClient,
  compliance: Compliance,
  caller: Principal,
  wanted: NewHold,
): Promise<Hold> {
  const { tenant } = caller
  const { keyring } = compliance
  const id = newId()
  const { patient } = wanted
  const held = heldBy(wanted, patient && (await patientRefOf(client, compliance, tenant, patient)))
  const reason = await sealReason(client, keyring, { tenant, table: 'holds.hold', row: id }, wanted.reason)
  await insertHold(client, { id, tenant, reason }, held, personOf(caller))
  const { scope, patientRef, subject, correlationId, ...period } = held
  await appendAudit(client, {
    tenant,
    service: 'compliance',
    actor: caller.actor(),
    action: 'LEGAL_HOLD_PLACED',
    outcome: 'success',
    subject: { type: 'legal-hold', id },
    ...(patientRef ? { patientRef } : {}),
    correlationId: correlation().correlationId,
    details: {
      scope,
      ...(subject ? { subject } : {}),
      ...(correlationId ? { correlation_id: correlationId } : {}),
      ...(Object.keys(period).length > 0 ? { period: period as Record<string, string> } : {}),
    },
  })
  return holdView(client, compliance, (await findHold(client, tenant, id))!)
}

export async function holdView(client: PoolClient, { keyring }: Compliance, row: HoldRow): Promise<Hold> {
  const { id, tenant, scope } = row
  const optional = {
    patient_ref: row.patient_ref,
    subject: row.subject_id,
    correlation_id: row.correlation_id,
    from: row.from_time?.toISOString(),
    to: row.to_time?.toISOString(),
    class: row.class,
    released_at: row.released_at?.toISOString(),
    release_approval: row.release_approval,
  }
  const present = Object.entries(optional).filter(([, value]) => value !== null && value !== undefined)
  return {
    ...{ id, scope },
    ...(Object.fromEntries(present) as Partial<Hold>),
    reason: await openReason(client, keyring, { tenant, table: 'holds.hold', row: id }, row.reason),
    placed_by: { issuer: row.placed_issuer, subject: row.placed_subject, client_id: row.placed_client },
    placed_at: row.placed_at,
  }
}
