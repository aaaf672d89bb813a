import { minorUnitDigits, toMinorUnits } from '../transactions/currency.js'
import { PAYMENT_METHODS, type Transaction } from '../transactions/transaction.js'
import { HOUR_MS, type LabelCounts, type LastPayment, LONGEST_WINDOW_MS, type Windows } from './windows.js'

/** Every feature, in the order in which models take them. Amounts are in major units of the payment's currency. */
export const FEATURES = [
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
] as const
export type Feature = (typeof FEATURES)[number]
export type Features = Record<Feature, number>

/** Fraud rate that a merchant or place without any labels is given, and how many labels that counts for. */
const PRIOR_RATE = 0.01
const PRIOR_WEIGHT = 20
const EARTH_RADIUS_KM = 6371.0088
/** Longest gap that is told apart, in hours: the longest window. */
const LONGEST_GAP_HOURS = LONGEST_WINDOW_MS / HOUR_MS
/** Two payments closer than this count as this far apart in time, so that speeds stay finite. */
const SHORTEST_GAP_HOURS = 1 / 60

/** Fraud rate with shrinkage towards the prior. */
export const riskScore = ({ labelled, frauds }: LabelCounts): number =>
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

/** The features of a payment: plain arithmetic over the payment and its windows (UTC; Monday is 0). */
export function computeFeatures(transaction: Transaction, windows: Windows): Features {
  const at = Date.parse(transaction.timestamp)
  const scale = 10 ** minorUnitDigits(transaction.currency)
  const amount = Number(toMinorUnits(transaction.amount, transaction.currency)) / scale
  const { account } = windows
  const average = account.sameCurrency30d === 0 ? 0 : account.sum30d / account.sameCurrency30d / scale
  const last = sinceLast(transaction, at, account.last)
  return {
    amount,
    hour_of_day: new Date(at).getUTCHours(),
    day_of_week: (new Date(at).getUTCDay() + 6) % 7,
    payment_method_encoded: PAYMENT_METHODS[transaction.payment_method],
    user_avg_transaction: average,
    user_transaction_count_1h: account.count1h,
    user_transaction_count_1d: account.count1d,
    user_transaction_count_7d: account.count7d,
    user_transaction_count_30d: account.count30d,
    user_amount_1d: account.sum1d / scale,
    user_max_transaction_30d: account.max30d / scale,
    user_distinct_merchants_1h: account.distinctMerchants1h,
    user_distinct_merchants_1d: account.distinctMerchants1d,
    user_merchant_count_30d: account.atMerchant30d,
    amount_to_average: average === 0 ? 1 : amount / average,
    hours_since_last: last.hours,
    km_since_last: last.km,
    kmh_since_last: last.kmh,
    merchant_risk_score: riskScore(windows.merchant),
    location_risk_score: riskScore(windows.cell),
  }
}

/** The features as a model's row, in the order of FEATURES. */
export const toRow = (features: Features): Float32Array =>
  Float32Array.from(FEATURES, (name) => features[name])
