import { GuardError } from '#libs/inference'
import { newId } from '#libs/platform'
import { computeFeatures, FEATURES, type Features } from '../features/features.js'
import type { Ledger } from '../features/ledger.js'
import { ruleHits } from '../policy/policy.js'
import { type Score, score } from '../scoring/score.js'
import type { Decided } from './decide.sql.js'
import { decisionOf, entryOf } from './decision.js'
import { timed } from './measures.js'
import { pack, withoutFeatures } from './snapshot.js'
import type { Waiting, Work } from './work.js'

/** The model's scores, or why there are none: then the rules decide alone, and the answers say so. */
async function tryScore(
  { model, logger }: Work,
  payments: readonly Features[],
): Promise<(Score | { failure: string })[]> {
  try {
    const explained = (at: number) => ruleHits(payments[at]!).length > 0
    return await timed('score', score(model, payments, explained))
  } catch (err) {
    // That a breaker opened is told once; what it refuses is counted.
    if (!(err instanceof GuardError) || err.refusal === 'timeout')
      logger.error(
        { err, model: `${model.name}/${model.version}` },
        'the model failed: the rules decide alone',
      )
    const failure = err instanceof GuardError ? err.message : 'the model could not be run'
    return payments.map(() => ({ failure }))
  }
}

/** Reads the windows of each payment in turn, so that it sees those before it, and scores all of them at once. */
export async function composeAll(work: Work, ledger: Ledger, batch: readonly Waiting[]): Promise<Decided[]> {
  const features = batch.map(({ tenant, transaction, facts }) => {
    const windows = ledger.windowsOf(tenant, facts)
    ledger.add(tenant, facts)
    return computeFeatures(transaction, windows)
  })
  if (batch.length === 0) return []
  const scores = await tryScore(work, features)
  return batch.map((waiting, at) => compose(work, waiting, features[at]!, scores[at]!))
}

function compose(
  { model, policy, featureSet }: Work,
  waiting: Waiting,
  features: Features,
  scored: Score | { failure: string },
): Decided {
  const { tenant, transaction, facts } = waiting
  const answer = decisionOf(features, {
    transactionId: transaction.transaction_id,
    decisionId: newId(),
    auditEntryId: newId(),
    correlationId: waiting.correlation.correlationId,
    policy,
    scored,
    scorer: model,
    elapsed: performance.now() - waiting.startedAt,
  })
  return {
    tenant,
    transaction,
    facts,
    answer,
    features: pack(features, FEATURES),
    featureSet,
    modelDigest: answer.model ? model.digest : null,
    response: withoutFeatures(answer),
    audit: entryOf(waiting, answer, model),
    traceparent: waiting.correlation.traceparent,
  }
}
