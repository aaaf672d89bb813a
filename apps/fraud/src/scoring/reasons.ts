import type { Feature, Features } from '../features/features.js'
import type { RuleHit } from '../policy/policy.js'
import { type Contribution, LEAST_CONTRIBUTION } from './score.js'

/** Why a payment was decided as it was. */
export interface Reason {
  code: string
  feature: Feature
  value: number
  contribution: number
  message: string
}

const MOST = 4

const times = (value: number) => `${value.toFixed(1)}x`
const MESSAGES: Partial<Record<Feature, (f: Features) => string>> = {
  amount: (f) => `The amount of ${f.amount} is unusual`,
  hour_of_day: (f) => `Paid between ${f.hour_of_day}:00 and ${f.hour_of_day}:59 UTC`,
  day_of_week: () => 'Unusual day of the week',
  payment_method_encoded: () => 'Unusual payment method',
  user_avg_transaction: (f) => `The account's average payment is ${f.user_avg_transaction.toFixed(2)}`,
  user_transaction_count_1h: (f) => `${f.user_transaction_count_1h} payments of the account within an hour`,
  user_transaction_count_1d: (f) => `${f.user_transaction_count_1d} payments of the account within a day`,
  user_transaction_count_7d: (f) => `${f.user_transaction_count_7d} payments of the account within 7 days`,
  user_transaction_count_30d: (f) => `${f.user_transaction_count_30d} payments of the account within 30 days`,
  user_amount_1d: (f) => `${f.user_amount_1d.toFixed(2)} spent within a day`,
  user_max_transaction_30d: (f) =>
    `The account's largest payment in 30 days is ${f.user_max_transaction_30d.toFixed(2)}`,
  user_distinct_merchants_1h: (f) => `${f.user_distinct_merchants_1h} merchants within an hour`,
  user_distinct_merchants_1d: (f) => `${f.user_distinct_merchants_1d} merchants within a day`,
  user_merchant_count_30d: (f) => `${f.user_merchant_count_30d} earlier payments at this merchant in 30 days`,
  amount_to_average: (f) => `${times(f.amount_to_average)} the account's 30-day average`,
  hours_since_last: (f) => `${f.hours_since_last.toFixed(1)} h since the account's last payment`,
  km_since_last: (f) => `${Math.round(f.km_since_last)} km from the account's last payment`,
  kmh_since_last: (f) => `${Math.round(f.kmh_since_last)} km/h since the account's last payment`,
  merchant_risk_score: (f) => `The merchant's fraud rate is ${(f.merchant_risk_score * 100).toFixed(1)} %`,
  location_risk_score: (f) => `The place's fraud rate is ${(f.location_risk_score * 100).toFixed(1)} %`,
}

/** What a feature without a message of its own says: its name in words, and its value. */
const plainly = (feature: Feature, f: Features): string => {
  const words = feature.replaceAll('_', ' ')
  const value = Number.isInteger(f[feature]) ? f[feature] : f[feature].toFixed(2)
  return `${words[0]!.toUpperCase()}${words.slice(1)} is ${value}`
}

const messageOf = (feature: Feature, f: Features): string => MESSAGES[feature]?.(f) ?? plainly(feature, f)

/** Rules first, then the features that raised the score most; at most four, each with a stable code. */
export function reasonsOf(
  features: Features,
  hits: readonly RuleHit[],
  contributions: readonly Contribution[],
): Reason[] {
  const contributionOf = (feature: Feature) =>
    contributions.find((c) => c.feature === feature)?.contribution ?? 0
  const rules = hits.map(({ code, feature, message }) => ({
    code,
    feature,
    value: features[feature],
    contribution: contributionOf(feature),
    message,
  }))
  const named = new Set(rules.map((reason) => reason.feature))
  const learned = contributions
    .filter(({ feature, contribution }) => contribution >= LEAST_CONTRIBUTION && !named.has(feature))
    .sort((a, b) => b.contribution - a.contribution)
    .map((c) => ({ ...c, code: c.feature.toUpperCase(), message: messageOf(c.feature, features) }))
  return [...rules, ...learned].slice(0, MOST)
}
