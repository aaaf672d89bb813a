import { appendAudit } from '#libs/audit'
import { correlation } from '#libs/platform'
import type { Act } from '../compliance.js'
import { findHold } from './holds.sql.js'

/** Lifts a hold that two persons agree to lift; the database consumes the approval. */
export const releaseHold: Act = async (client, _compliance, caller, { id: approval, subject: holdId }) => {
  const { tenant } = caller
  await client.query('SELECT holds.release($1, $2, $3)', [holdId, tenant, approval])
  const patientRef = (await findHold(client, tenant, holdId))?.patient_ref
  await appendAudit(client, {
    tenant,
    service: 'compliance',
    actor: caller.actor(),
    action: 'LEGAL_HOLD_RELEASED',
    outcome: 'success',
    subject: { type: 'legal-hold', id: holdId },
    ...(patientRef ? { patientRef } : {}),
    correlationId: correlation().correlationId,
    details: { approval },
  })
}
