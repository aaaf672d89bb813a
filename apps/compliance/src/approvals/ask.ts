import type { PoolClient } from 'pg'
import { appendAudit } from '#libs/audit'
import type { Principal } from '#libs/auth'
import { correlation, newId, problems } from '#libs/platform'
import type { Compliance } from '../compliance.js'
import { type Approval, type ApprovalKind, personOf } from './approval.js'
import { type ApprovalRow, findApproval, insertApproval } from './approvals.sql.js'
import { openReason, sealReason } from './sealed-reason.js'

export interface Ask {
  kind: ApprovalKind
  /** Id of what the act is done to, or the keyed hash of a patient. */
  subject: string
  /** What exactly is to be done: the person who decides sees it, and the database does nothing else. */
  parameters?: Record<string, string | number | boolean>
  patientRef?: string
  reason: string
}

/** A request as it is shown to whoever has to decide it. */
export async function approvalView(
  client: PoolClient,
  { keyring }: Compliance,
  row: ApprovalRow,
): Promise<Approval> {
  const { id, tenant, kind, subject } = row
  const place = { tenant, table: 'approvals.request', row: id } as const
  return {
    ...{ id, kind, subject, parameters: row.parameters as Approval['parameters'] },
    reason: await openReason(client, keyring, place, row.reason),
    status: statusOf(row),
    requested_by: {
      issuer: row.requested_issuer,
      subject: row.requested_subject,
      client_id: row.requested_client,
    },
    requested_at: row.requested_at,
    expires_at: row.expires_at.toISOString(),
    ...(row.decided_at
      ? {
          decided_by: {
            issuer: row.decided_issuer!,
            subject: row.decided_subject!,
            client_id: row.decided_client!,
          },
          decided_at: row.decided_at.toISOString(),
        }
      : {}),
  }
}

function statusOf({ decision, consumed_at, is_expired, decided_issuer }: ApprovalRow): Approval['status'] {
  if (consumed_at) return 'done'
  if (decision === 'rejected') return decided_issuer === 'vigil' ? 'expired' : 'rejected'
  if (is_expired) return 'expired'
  return decision ?? 'pending'
}

/**
 * Asks for an act that a second person must agree to, in the caller's transaction and with its audit entry. Throws
 * the 409 problem where the same act is asked for already.
 */
export async function askForApproval(
  client: PoolClient,
  compliance: Compliance,
  caller: Principal,
  { kind, subject, parameters = {}, patientRef, reason }: Ask,
): Promise<Approval> {
  const { tenant } = caller
  const id = newId()
  const isNew = await insertApproval(client, {
    ...{ id, tenant, kind, subject, parameters },
    ...(patientRef ? { patientRef } : {}),
    reason: await sealReason(
      client,
      compliance.keyring,
      { tenant, table: 'approvals.request', row: id },
      reason,
    ),
    person: personOf(caller),
    validHours: compliance.approvalHours,
  })
  if (!isNew) throw problems.conflict({ detail: 'This act is asked for already and waits for a decision' })
  await appendAudit(client, {
    tenant,
    service: 'compliance',
    actor: caller.actor(),
    action: 'APPROVAL_REQUESTED',
    outcome: 'success',
    subject: { type: 'approval', id },
    ...(patientRef ? { patientRef } : {}),
    correlationId: correlation().correlationId,
    details: { kind, of: subject, parameters },
  })
  return approvalView(client, compliance, (await findApproval(client, tenant, id))!)
}
