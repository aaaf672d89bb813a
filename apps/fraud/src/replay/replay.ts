import { isDeepStrictEqual } from 'node:util'
import { z } from 'zod'
import type { ModelReference, RunnableModel, Unavailable } from '#libs/inference'
import type { Features } from '../features/features.js'
import { decide, type Policy, ruleHits } from '../policy/policy.js'
import { reasonsOf } from '../scoring/reasons.js'
import { score } from '../scoring/score.js'
import { Decision } from '../transactions/answer.js'

const Made = Decision.pick({ decision: true, risk_score: true, reasons: true }).extend({
  /** The score as its IEEE 754 double, hexadecimal: what "bit-equal" compares. */
  risk_score_bits: z.string().regex(/^[0-9a-f]{16}$/),
})
type Made = z.infer<typeof Made>

const OBSTACLES = {
  'model-gone': 'The model version that scored is not among the models any more',
  'model-altered': 'The model of that version is not the artifact that scored: its digest differs',
  'policy-gone': 'The policy version that decided is not known any more',
  'features-incomplete': 'The stored snapshot lacks features that the model takes',
} as const
export type Obstacle = keyof typeof OBSTACLES

/** What a decision was, what it is when it is made again from what was stored, and whether that is the same. */
export const Replay = z
  .strictObject({
    transaction_id: z.string(),
    decision_id: z.uuid(),
    /** Null where it could not be made again: see `obstacle`. */
    bit_equal: z.boolean().nullable(),
    /** JSON pointers into `stored` and `recomputed`. */
    differences: z.array(z.string()),
    obstacle: z
      .strictObject({ code: z.enum(Object.keys(OBSTACLES) as Obstacle[]), detail: z.string() })
      .nullable(),
    stored: Made.extend({
      degraded: z.boolean(),
      model: z.strictObject({ name: z.string(), version: z.string(), digest: z.string() }).nullable(),
      policy_version: z.string(),
      features: z.record(z.string(), z.number()),
    }),
    recomputed: Made.nullable(),
  })
  .meta({ id: 'Replay' })
export type Replay = z.infer<typeof Replay>

/** A decision as it was stored, with the digest of the model that scored it. */
export interface StoredDecision {
  answer: Decision
  modelDigest: string | null
}

/** Where what decided can be found again. */
export interface Archive {
  model(reference: ModelReference): Promise<RunnableModel | Unavailable>
  policy(version: string): Policy | undefined
}

function bitsOf(value: number): string {
  const bytes = Buffer.alloc(8)
  bytes.writeDoubleBE(value)
  return bytes.toString('hex')
}

const madeOf = ({
  decision,
  risk_score,
  reasons,
}: Pick<Decision, 'decision' | 'risk_score' | 'reasons'>): Made => ({
  decision,
  risk_score,
  risk_score_bits: bitsOf(risk_score),
  reasons,
})

const referenceOf = ({ answer: { model }, modelDigest }: StoredDecision): ModelReference | null =>
  model && modelDigest ? { ...model, digest: modelDigest } : null

async function recompute(stored: StoredDecision, archive: Archive): Promise<Made | Obstacle> {
  const { answer } = stored
  const policy = archive.policy(answer.policy_version)
  if (!policy) return 'policy-gone'
  const features = answer.features as Features
  const hits = ruleHits(features)
  const reference = referenceOf(stored)
  if (!reference)
    return madeOf({
      decision: decide(policy, undefined, hits),
      risk_score: 0,
      reasons: reasonsOf(features, hits, []),
    })
  const model = await archive.model(reference)
  if ('missing' in model) return model.missing === 'gone' ? 'model-gone' : 'model-altered'
  if (!model.card.features?.every((name) => name in features)) return 'features-incomplete'
  const [scored] = await score(model, [features], () => hits.length > 0)
  const { probability, contributions } = scored!
  return madeOf({
    decision: decide(policy, probability, hits),
    risk_score: probability,
    reasons: reasonsOf(features, hits, contributions),
  })
}

const differencesOf = (stored: Made, recomputed: Made): string[] =>
  (['decision', 'risk_score_bits', 'reasons'] as const)
    .filter((name) => !isDeepStrictEqual(stored[name], recomputed[name]))
    .map((name) => `/${name}`)

/** Makes a decision again from its stored features, with the model and the policy that it names. */
export async function replay(stored: StoredDecision, archive: Archive): Promise<Replay> {
  const { answer } = stored
  const made = madeOf(answer)
  const again = await recompute(stored, archive)
  const obstacle = typeof again === 'string' ? again : undefined
  const recomputed = typeof again === 'string' ? null : again
  const differences = recomputed ? differencesOf(made, recomputed) : []
  return {
    transaction_id: answer.transaction_id,
    decision_id: answer.decision_id,
    bit_equal: recomputed ? differences.length === 0 : null,
    differences,
    obstacle: obstacle ? { code: obstacle, detail: OBSTACLES[obstacle] } : null,
    stored: {
      ...made,
      degraded: answer.degraded,
      model: referenceOf(stored),
      policy_version: answer.policy_version,
      features: answer.features,
    },
    recomputed,
  }
}
