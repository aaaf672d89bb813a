import type { Features } from '../features/features.js'

export type Outcome = 'approve' | 'review' | 'decline'

/** Thresholds and rules of one version. A version is never changed: another one takes its place. */
export interface Policy {
  version: string
  reviewFrom: number
  declineFrom: number
}

/** A rule that spoke: the least severe outcome it allows, and why. */
export interface RuleHit {
  code: string
  feature: keyof Features
  outcome: Outcome
  message: string
}

export const POLICY: Policy = { version: 'policy-1', reviewFrom: 0.2, declineFrom: 0.7 }

const SEVERITY: Record<Outcome, number> = { approve: 0, review: 1, decline: 2 }
const severest = (outcomes: Outcome[]): Outcome =>
  outcomes.reduce((worst, outcome) => (SEVERITY[outcome] > SEVERITY[worst] ? outcome : worst), 'approve')

interface Rule extends Omit<RuleHit, 'message'> {
  applies(features: Features): boolean
  message(features: Features): string
}

const RULES: readonly Rule[] = [
  {
    code: 'CARD_TESTING',
    feature: 'user_distinct_merchants_1h',
    outcome: 'review',
    applies: (f) => f.user_distinct_merchants_1h >= 4 && f.amount <= 5,
    message: (f) =>
      `${f.user_distinct_merchants_1h} merchants within the last hour, and a small amount again`,
  },
  {
    code: 'IMPOSSIBLE_TRAVEL',
    feature: 'kmh_since_last',
    outcome: 'review',
    applies: (f) => f.kmh_since_last > 1000 && f.km_since_last > 300,
    message: (f) =>
      `${Math.round(f.km_since_last)} km from the payment ${f.hours_since_last.toFixed(1)} h before`,
  },
  {
    code: 'RISKY_MERCHANT',
    feature: 'merchant_risk_score',
    outcome: 'review',
    applies: (f) => f.merchant_risk_score > 0.3,
    message: (f) =>
      `${Math.round(f.merchant_risk_score * 100)} % of the merchant's known payments were frauds`,
  },
]

/** The rules that apply to a payment. */
export const ruleHits = (features: Features): RuleHit[] =>
  RULES.filter((rule) => rule.applies(features)).map(({ code, feature, outcome, message }) => ({
    code,
    feature,
    outcome,
    message: message(features),
  }))

/** The outcome: the severest of what the score and the rules say. Without a score, the rules alone decide. */
export function decide(policy: Policy, score: number | undefined, hits: readonly RuleHit[]): Outcome {
  const byScore: Outcome =
    score === undefined || score < policy.reviewFrom
      ? 'approve'
      : score < policy.declineFrom
        ? 'review'
        : 'decline'
  return severest([byScore, ...hits.map((hit) => hit.outcome)])
}
