import { appendAudit } from '#libs/audit'
import { correlation } from '#libs/platform'
import type { Act } from '../compliance.js'
import { dropMonth, takeTime } from './retention.sql.js'

/**
 * Drops a month of the trail that two persons agree to drop. The database looks once more at the periods, the legal
 * holds and what the month holds, and consumes the approval.
 */
export const dropApprovedMonth: Act = async (client, _compliance, caller, { id: approval, subject }) => {
  await takeTime(client)
  const dropped = await dropMonth(client, { partition: subject, tenant: caller.tenant, approval })
  await appendAudit(client, {
    tenant: caller.tenant,
    service: 'compliance',
    actor: caller.actor(),
    action: 'RETENTION_DROPPED',
    outcome: 'success',
    subject: { type: 'trail-month', id: subject },
    correlationId: correlation().correlationId,
    details: { approval, ...dropped },
  })
}
