import { computeFeatures } from '../../../apps/fraud/src/features/features.js'
import { History } from '../../../apps/fraud/src/features/history.js'
import { decide, POLICY, ruleHits } from '../../../apps/fraud/src/policy/policy.js'
import { reasonsOf } from '../../../apps/fraud/src/scoring/reasons.js'
import { type Score, score } from '../../../apps/fraud/src/scoring/score.js'
import { Transaction } from '../../../apps/fraud/src/transactions/transaction.js'
import { Model } from '../../../libs/inference/src/model.js'
import type { Bench } from './bench.js'
import { payment } from './world.js'

const RUNS = 2_000

async function microseconds(work: (at: number) => unknown): Promise<number> {
  for (let at = 0; at < RUNS / 10; at++) await work(at)
  const startedAt = performance.now()
  for (let at = 0; at < RUNS; at++) await work(at)
  return ((performance.now() - startedAt) * 1000) / RUNS
}

/** The pure parts of a decision alone in this process: microseconds each. */
export async function measureModel(bench: Bench): Promise<void> {
  const model = await Model.load('models/fraud-gbdt/v1')
  const history = new History()
  const drafts = Array.from({ length: RUNS }, (_, at) => payment(`p-${at}`, Date.now(), 50))
  const part = 'in process'
  const us = (value: number) => `${value.toFixed(1)} us`
  bench.add({
    part,
    what: 'validation',
    value: us(await microseconds((at) => Transaction.parse(drafts[at]))),
  })
  const features = drafts.map((draft) => {
    const transaction = Transaction.parse(draft)
    const computed = computeFeatures(transaction, history.windowsOf(transaction))
    history.add(transaction)
    return computed
  })
  const always = () => true
  const [{ contributions, probability }] = (await score(model, features.slice(0, 1), always)) as [Score]
  bench.add({
    part,
    what: 'model inference with contributions',
    value: us(await microseconds((at) => score(model, [features[at]!], always))),
  })
  bench.add({
    part,
    what: 'rules, outcome and reason codes',
    value: us(
      await microseconds((at) => {
        const hits = ruleHits(features[at]!)
        decide(POLICY, probability, hits)
        return reasonsOf(features[at]!, hits, contributions)
      }),
    ),
  })
  await model.close()
}
