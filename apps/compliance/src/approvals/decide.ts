import type { PoolClient } from 'pg'
import { appendAudit } from '#libs/audit'
import type { Principal } from '#libs/auth'
import { correlation, inTransaction, type ProblemError, problems, sqlState } from '#libs/platform'
import type { Compliance } from '../compliance.js'
import { type Approval, personOf } from './approval.js'
import {
  type ApprovalRow,
  type Decision,
  decideApproval,
  findApproval,
  type Verdict,
} from './approvals.sql.js'
import { approvalView } from './ask.js'

const REFUSALS: Record<Exclude<Decision, Verdict>, () => ProblemError> = {
  missing: () => problems.notFound({ detail: 'There is no such approval' }),
  same_person: () => problems.forbidden({ detail: 'Another person must decide: this request is your own' }),
  expired: () => problems.conflict({ detail: 'The request has expired: ask again' }),
  decided: () => problems.conflict({ detail: 'The request is decided already' }),
}

const ACTIONS = { approved: 'APPROVAL_GRANTED', rejected: 'APPROVAL_REJECTED' } as const

/** What stands in the way by now, the approval included: the database undid all of it. */
function blocked(error: unknown): unknown {
  const conflict = (detail: string) => problems.conflict({ detail: `${detail}: nothing was done` })
  if (sqlState(error) === 'VG409') return conflict('A legal hold or another obstacle stands in the way')
  if (sqlState(error) === 'VG403') return conflict('This is no longer what was asked for')
  return error
}

/**
 * Decides a request as a person other than the one who asked, and does at once what was approved: decision, act
 * and entries commit together or not at all. A refusal for being the same person is recorded too.
 */
export async function decide(
  compliance: Compliance,
  caller: Principal,
  id: string,
  verdict: Verdict,
): Promise<Approval> {
  const outcome = await inTransaction(compliance.pool, async (client) => {
    const decision = await decideApproval(client, { tenant: caller.tenant, id }, verdict, personOf(caller))
    if (decision === 'missing') return { decision }
    const row = (await findApproval(client, caller.tenant, id))!
    await record(client, caller, row, decision, verdict)
    if (decision === 'approved') await compliance.acts[row.kind](client, compliance, caller, row)
    const after = (await findApproval(client, caller.tenant, id))!
    return { decision, approval: await approvalView(client, compliance, after) }
  }).catch((error) => {
    throw blocked(error)
  })
  if (outcome.decision !== 'approved' && outcome.decision !== 'rejected') throw REFUSALS[outcome.decision]()
  return outcome.approval!
}

async function record(
  client: PoolClient,
  caller: Principal,
  row: ApprovalRow,
  decision: Decision,
  verdict: Verdict,
): Promise<void> {
  const isDecided = decision === verdict
  await appendAudit(client, {
    tenant: caller.tenant,
    service: 'compliance',
    actor: caller.actor(),
    action: ACTIONS[verdict],
    outcome: isDecided ? 'success' : 'denied',
    subject: { type: 'approval', id: row.id },
    ...(row.patient_ref ? { patientRef: row.patient_ref } : {}),
    correlationId: correlation().correlationId,
    details: { kind: row.kind, of: row.subject, ...(isDecided ? {} : { refused: decision }) },
  })
}
