import type pg from 'pg'
import type { Logger } from 'pino'
import { Counter, Histogram } from 'prom-client'
import type { Principal } from '#libs/auth'
import type { Model } from '#libs/inference'
import { correlation, inTransaction, metrics, newId, problems } from '#libs/platform'
import { computeFeatures, type Features } from '../features/features.js'
import { readWindows } from '../features/windows.sql.js'
import { decide, type Policy, ruleHits } from '../policy/policy.js'
import { reasonsOf } from '../scoring/reasons.js'
import { type Score, score } from '../scoring/score.js'
import type { Decision } from './answer.js'
import { type Decided, findDecision, lockAccount, type StoredDecision, storeDecision } from './decide.sql.js'
import { fingerprint, type Transaction } from './transaction.js'

const decisions = new Counter({
  name: 'fraud_decisions_total',
  help: 'Payments decided, by outcome',
  labelNames: ['decision', 'degraded'],
  registers: [metrics],
})
const steps = new Histogram({
  name: 'fraud_step_duration_seconds',
  help: 'Time of each step of a decision in seconds',
  labelNames: ['step'],
  buckets: [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1],
  registers: [metrics],
})

/** What deciding needs. */
export interface Desk {
  pool: pg.Pool
  model: Model
  policy: Policy
  logger: Logger
}

/** An answer as bytes, and whether it was given before. */
export interface Answer {
  response: string
  replayed: boolean
}

async function timed<T>(step: string, work: () => Promise<T>): Promise<T> {
  const end = steps.startTimer({ step })
  try {
    return await work()
  } finally {
    end()
  }
}

/** The same payment again gets the first answer; another payment under its id is a conflict. */
function replay(stored: StoredDecision, bodySha256: Buffer): Answer {
  if (stored.bodySha256.equals(bodySha256)) return { response: stored.response, replayed: true }
  throw problems.conflict({
    detail: 'Another payment was decided under this transaction_id',
    errors: [{ pointer: '/transaction_id', detail: 'Already used with another body' }],
  })
}

/** The model's score, or why there is none: then the rules decide alone, and the answer says so. */
async function tryScore({ model, logger }: Desk, features: Features): Promise<Score | { failure: string }> {
  try {
    return await timed('score', () => score(model, features))
  } catch (err) {
    logger.error({ err, model: `${model.name}/${model.version}` }, 'the model failed: the rules decide alone')
    return { failure: 'the model could not be run' }
  }
}

const round = (value: number, digits: number) => Math.round(value * 10 ** digits) / 10 ** digits

async function compose(
  desk: Desk,
  transaction: Transaction,
  features: Features,
  startedAt: number,
): Promise<Decision> {
  const scored = await tryScore(desk, features)
  const failed = 'failure' in scored
  const hits = ruleHits(features)
  const probability = failed ? undefined : scored.probability
  return {
    transaction_id: transaction.transaction_id,
    decision_id: newId(),
    decision: decide(desk.policy, probability, hits),
    risk_score: probability ?? 0,
    degraded: failed,
    ...(failed ? { degraded_reason: scored.failure } : {}),
    reasons: reasonsOf(features, hits, failed ? [] : scored.contributions),
    features,
    model: failed ? null : { name: desk.model.name, version: desk.model.version },
    policy_version: desk.policy.version,
    audit_entry_id: newId(),
    correlation_id: correlation().correlationId,
    processing_time_ms: round(performance.now() - startedAt, 3),
  }
}

const recordOf = (
  desk: Desk,
  caller: Principal,
  transaction: Transaction,
  answer: Decision,
  features: Features,
): Omit<Decided, 'bodySha256'> => ({
  tenant: caller.tenant,
  transaction,
  answer,
  features,
  modelDigest: answer.model ? desk.model.digest : null,
  response: JSON.stringify(answer),
  audit: {
    id: answer.audit_entry_id,
    tenant: caller.tenant,
    service: 'fraud',
    actor: { type: 'client', id: caller.clientId },
    action: 'TRANSACTION_DECIDED',
    outcome: 'success',
    subject: { type: 'transaction', id: transaction.transaction_id },
    correlationId: answer.correlation_id,
    details: {
      decision: answer.decision,
      decision_id: answer.decision_id,
      risk_score: answer.risk_score,
      degraded: answer.degraded,
      policy_version: answer.policy_version,
      ...(answer.model
        ? { model: `${answer.model.name}/${answer.model.version}`, model_digest: desk.model.digest }
        : {}),
    },
  },
})

/**
 * Decides a payment: payment, windows, decision, audit entry and event are one database transaction. The same payment
 * again gets its first answer, byte for byte.
 */
export async function decideTransaction(
  desk: Desk,
  caller: Principal,
  transaction: Transaction,
): Promise<Answer> {
  const startedAt = performance.now()
  const bodySha256 = fingerprint(transaction)
  const answer = await inTransaction(desk.pool, async (client): Promise<Answer | Decision> => {
    await timed('lock', () => lockAccount(client, caller.tenant, transaction.user_id))
    const stored = await findDecision(client, caller.tenant, transaction.transaction_id)
    if (stored) return replay(stored, bodySha256)
    const windows = await timed('windows', () => readWindows(client, caller.tenant, transaction))
    const features = computeFeatures(transaction, windows)
    const decision = await compose(desk, transaction, features, startedAt)
    const record = { ...recordOf(desk, caller, transaction, decision, features), bodySha256 }
    if (await timed('store', () => storeDecision(client, record))) return decision
    // Another account's payment took the id while we decided, or the id came with imported history.
    const other = await findDecision(client, caller.tenant, transaction.transaction_id)
    if (other) return replay(other, bodySha256)
    throw problems.conflict({ detail: 'This transaction_id belongs to imported history' })
  })
  if ('response' in answer) return answer
  decisions.inc({ decision: answer.decision, degraded: String(answer.degraded) })
  return { response: JSON.stringify(answer), replayed: false }
}
