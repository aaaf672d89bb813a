import type { AuditEntry } from '#libs/audit'
import type { Features } from '../features/features.js'
import { decide, type Policy, ruleHits } from '../policy/policy.js'
import { reasonsOf } from '../scoring/reasons.js'
import type { Score } from '../scoring/score.js'
import type { Decision } from './answer.js'

/** The model that scored, as answers and records name it. */
export interface Scorer {
  name: string
  version: string
  digest: string
}

/** What a decision is made of, besides the features. */
export interface Circumstances {
  transactionId: string
  decisionId: string
  auditEntryId: string
  correlationId: string
  policy: Policy
  /** The model's score, or why there is none: then the rules decide alone, and the answer says so. */
  scored: Score | { failure: string }
  scorer: Scorer
  /** Milliseconds since the payment arrived. */
  elapsed: number
}

const round = (value: number, digits: number) => Math.round(value * 10 ** digits) / 10 ** digits

/** The decision of a payment. */
export function decisionOf(features: Features, of: Circumstances): Decision {
  const { scored, scorer, policy } = of
  const failed = 'failure' in scored
  const hits = ruleHits(features)
  const probability = failed ? undefined : scored.probability
  return {
    transaction_id: of.transactionId,
    decision_id: of.decisionId,
    decision: decide(policy, probability, hits),
    risk_score: probability ?? 0,
    degraded: failed,
    ...(failed ? { degraded_reason: scored.failure } : {}),
    reasons: reasonsOf(features, hits, failed ? [] : scored.contributions),
    features,
    model: failed ? null : { name: scorer.name, version: scorer.version },
    policy_version: policy.version,
    audit_entry_id: of.auditEntryId,
    correlation_id: of.correlationId,
    processing_time_ms: round(of.elapsed, 3),
  }
}

/** What the audit log says of a decision. */
export const entryOf = (
  { tenant, actor }: { tenant: string; actor: AuditEntry['actor'] },
  answer: Decision,
  scorer: Scorer,
): AuditEntry => ({
  id: answer.audit_entry_id,
  tenant,
  service: 'fraud',
  actor,
  action: 'TRANSACTION_DECIDED',
  outcome: 'success',
  subject: { type: 'transaction', id: answer.transaction_id },
  correlationId: answer.correlation_id,
  details: {
    decision: answer.decision,
    decision_id: answer.decision_id,
    risk_score: answer.risk_score,
    degraded: answer.degraded,
    policy_version: answer.policy_version,
    ...(answer.model
      ? { model: `${answer.model.name}/${answer.model.version}`, model_digest: scorer.digest }
      : {}),
  },
})
