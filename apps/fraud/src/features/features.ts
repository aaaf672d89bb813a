import { minorUnitDigits } from '../transactions/currency.js'
import { PAYMENT_METHODS, type Transaction } from '../transactions/transaction.js'
import { factsOf } from './facts.js'
import {
  HOUR_MS,
  type LastPayment,
  LONGEST_WINDOW_MS,
  SPANS,
  type Span,
  type Totals,
  type Truth,
  type Windows,
} from './windows.js'

/** Whose payments a window holds. */
export const SUBJECTS = ['user', 'merchant', 'location', 'method'] as const
type Subject = (typeof SUBJECTS)[number]

const NAMED = [
  'amount',
  'hour_of_day',
  'day_of_week',
  'payment_method_encoded',
  'user_avg_transaction',
  'user_transaction_count_1h',
  'user_transaction_count_1d',
  'user_transaction_count_7d',
  'user_transaction_count_30d',
  'user_amount_1d',
  'user_max_transaction_30d',
  'user_distinct_merchants_1h',
  'user_distinct_merchants_1d',
  'user_merchant_count_30d',
  'amount_to_average',
  'hours_since_last',
  'km_since_last',
  'kmh_since_last',
  'merchant_risk_score',
  'location_risk_score',
  'user_risk_score',
  'method_risk_score',
  'user_distinct_merchants_7d',
  'user_distinct_merchants_30d',
  'amount_to_median',
  'amount_to_max',
  'amount_deviation',
] as const

type WindowFeature =
  | `${Subject}_${'transaction_count' | 'amount' | 'avg_transaction' | 'max_transaction'}_${Span}`
  | `${Subject}_${'fraud_streak' | 'fraud_streak_hours' | 'latest_fraud_rate'}`
export type Feature = (typeof NAMED)[number] | WindowFeature
export type Features = Record<Feature, number>

const windowFeatures = (subject: Subject): WindowFeature[] => [
  ...SPANS.flatMap((span): WindowFeature[] => [
    `${subject}_transaction_count_${span}`,
    `${subject}_amount_${span}`,
    `${subject}_avg_transaction_${span}`,
    `${subject}_max_transaction_${span}`,
  ]),
  `${subject}_fraud_streak`,
  `${subject}_fraud_streak_hours`,
  `${subject}_latest_fraud_rate`,
]

/**
 * Every feature in the order in which snapshots keep them; the account's 30-day average is `user_avg_transaction`. Amounts are in major
 * units of the payment's currency.
 */
export const FEATURES: readonly Feature[] = [
  ...new Set<Feature>([...NAMED, ...SUBJECTS.flatMap(windowFeatures)]),
].filter((name) => name !== 'user_avg_transaction_30d')

/** Fraud rate that a key without any labels is given, and how many labels that counts for. */
const PRIOR_RATE = 0.01
const PRIOR_WEIGHT = 20
const EARTH_RADIUS_KM = 6371.0088
/** Longest gap that is told apart, in hours: the longest window. */
const LONGEST_GAP_HOURS = LONGEST_WINDOW_MS / HOUR_MS
/** Two payments closer than this count as this far apart in time, so that speeds stay finite. */
const SHORTEST_GAP_HOURS = 1 / 60

/** Fraud rate with shrinkage towards the prior. */
export const riskScore = ({ labelled, frauds }: Pick<Truth, 'labelled' | 'frauds'>): number =>
  (frauds + PRIOR_RATE * PRIOR_WEIGHT) / (labelled + PRIOR_WEIGHT)

/** Great-circle distance in kilometres (haversine, mean earth radius of IUGG). */
export function distanceKm(
  a: { latitude: number; longitude: number },
  b: { latitude: number; longitude: number },
): number {
  const radians = (degrees: number) => (degrees * Math.PI) / 180
  const dLat = radians(b.latitude - a.latitude)
  const dLon = radians(b.longitude - a.longitude)
  const h =
    Math.sin(dLat / 2) ** 2 +
    Math.cos(radians(a.latitude)) * Math.cos(radians(b.latitude)) * Math.sin(dLon / 2) ** 2
  return 2 * EARTH_RADIUS_KM * Math.asin(Math.min(1, Math.sqrt(h)))
}

function sinceLast(transaction: Transaction, at: number, last: LastPayment | undefined) {
  if (!last) return { hours: LONGEST_GAP_HOURS, km: 0, kmh: 0 }
  const hours = (at - last.at) / HOUR_MS
  if (last.latitude === null || last.longitude === null) return { hours, km: 0, kmh: 0 }
  const km = distanceKm({ latitude: last.latitude, longitude: last.longitude }, transaction.location)
  return { hours, km, kmh: km / Math.max(hours, SHORTEST_GAP_HOURS) }
}

const average = ({ inCurrency, sum }: Totals, scale: number): number =>
  inCurrency === 0 ? 0 : sum / inCurrency / scale
/** A ratio to what is usual; 1 where nothing is. */
const ratio = (amount: number, usual: number): number => (usual === 0 ? 1 : amount / usual)

/** All features at once, so that every payment's object has one shape: V8 reads and writes such objects fast. */
const SHAPE: Features = JSON.parse(JSON.stringify(Object.fromEntries(FEATURES.map((name) => [name, 0]))))

/** The names of a subject's windows, made once. */
const NAMES = Object.fromEntries(
  SUBJECTS.map((subject) => [
    subject,
    {
      spans: SPANS.map((span) => ({
        count: `${subject}_transaction_count_${span}` as const,
        amount: `${subject}_amount_${span}` as const,
        average: (subject === 'user' && span === '30d'
          ? 'user_avg_transaction'
          : `${subject}_avg_transaction_${span}`) as Feature,
        max: `${subject}_max_transaction_${span}` as const,
      })),
      streak: `${subject}_fraud_streak` as const,
      streakHours: `${subject}_fraud_streak_hours` as const,
      latestRate: `${subject}_latest_fraud_rate` as const,
    },
  ]),
)

function addWindows(
  features: Features,
  subject: Subject,
  totals: Totals[],
  truth: Truth,
  at: number,
  scale: number,
): void {
  const names = NAMES[subject]!
  for (const [n, total] of totals.entries()) {
    const span = names.spans[n]!
    features[span.count] = total.count
    features[span.amount] = total.sum / scale
    features[span.average] = average(total, scale)
    features[span.max] = total.max / scale
  }
  features[names.streak] = truth.streak
  features[names.streakHours] = truth.streakSince === undefined ? 0 : (at - truth.streakSince) / HOUR_MS
  features[names.latestRate] = truth.latest === 0 ? 0 : truth.latestFrauds / truth.latest
}

/** The features of a payment: plain arithmetic over the payment and its windows (UTC; Monday is 0). */
export function computeFeatures(transaction: Transaction, windows: Windows): Features {
  const { at, minor } = factsOf(transaction)
  const scale = 10 ** minorUnitDigits(transaction.currency)
  const amount = minor / scale
  const { account, merchant, place, method, truth } = windows
  const month = account.totals.at(-1)!
  const usual = average(month, scale)
  const last = sinceLast(transaction, at, account.last)
  const features: Features = {
    ...SHAPE,
    amount,
    hour_of_day: new Date(at).getUTCHours(),
    day_of_week: (new Date(at).getUTCDay() + 6) % 7,
    payment_method_encoded: PAYMENT_METHODS[transaction.payment_method],
    user_distinct_merchants_1h: account.distinctMerchants[0]!,
    user_distinct_merchants_1d: account.distinctMerchants[1]!,
    user_merchant_count_30d: account.atMerchant30d,
    amount_to_average: ratio(amount, usual),
    hours_since_last: last.hours,
    km_since_last: last.km,
    kmh_since_last: last.kmh,
    merchant_risk_score: riskScore(truth.merchant),
    location_risk_score: riskScore(truth.place),
    user_risk_score: riskScore(truth.account),
    method_risk_score: riskScore(truth.method),
    user_distinct_merchants_7d: account.distinctMerchants[2]!,
    user_distinct_merchants_30d: account.distinctMerchants[3]!,
    amount_to_median: ratio(amount, account.median30d / scale),
    amount_to_max: ratio(amount, month.max / scale),
    amount_deviation: account.deviation30d === 0 ? 0 : (amount - usual) / (account.deviation30d / scale),
  }
  addWindows(features, 'user', account.totals, truth.account, at, scale)
  addWindows(features, 'merchant', merchant, truth.merchant, at, scale)
  addWindows(features, 'location', place, truth.place, at, scale)
  addWindows(features, 'method', method, truth.method, at, scale)
  return features
}

/** The features as a row of numbers, in the order of `names`. */
export const toRow = (features: Features, names: readonly Feature[] = FEATURES): Float32Array =>
  Float32Array.from(names, (name) => features[name])
