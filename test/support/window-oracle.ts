import type pg from 'pg'
import type { Facts } from '../../apps/fraud/src/features/facts.js'
import { distanceKm, FEATURES, type Feature } from '../../apps/fraud/src/features/features.js'

/** A payment's windows by brute force: plain SQL over the stored rows, straight from the definition. */

// $1 tenant, $2 ids decided before (in their order), $3 event time, $4 account, $5 merchant, $6 cell, $7 method, $8 currency
const SUBJECT = `(VALUES ('user', 0), ('merchant', 1), ('location', 2), ('method', 3)) s (subject, no)`
const SAME_KEY = `(ARRAY[t.user_id, t.merchant_id, t.cell, t.payment_method])[s.no + 1] = (ARRAY[$4, $5, $6, $7]::text[])[s.no + 1]`
const HOURS = `date_trunc('hour', t.event_ts) BETWEEN date_trunc('hour', $3::timestamptz - w.length) AND date_trunc('hour', $3::timestamptz)`
const SEEN = `seen AS (SELECT *, array_position($2::text[], transaction_id) AS no FROM fraud.transaction
  WHERE tenant = $1 AND transaction_id = ANY($2::text[]))`

const TOTALS = `WITH ${SEEN}
  SELECT s.subject, w.span, count(t.transaction_id)::float8 AS count,
    count(t.transaction_id) FILTER (WHERE t.currency = $8)::float8 AS same,
    coalesce(sum(t.amount_minor) FILTER (WHERE t.currency = $8), 0)::float8 AS sum,
    coalesce(max(t.amount_minor) FILTER (WHERE t.currency = $8), 0)::float8 AS max,
    count(DISTINCT t.merchant_id)::float8 AS merchants,
    count(*) FILTER (WHERE t.merchant_id = $5)::float8 AS here,
    coalesce(percentile_cont(0.5) WITHIN GROUP (ORDER BY t.amount_minor) FILTER (WHERE t.currency = $8), 0) AS median,
    coalesce(stddev_pop(t.amount_minor) FILTER (WHERE t.currency = $8), 0)::float8 AS deviation
  FROM ${SUBJECT}
    CROSS JOIN (VALUES ('1h', interval '1 hour'), ('1d', interval '1 day'), ('7d', interval '7 days'), ('30d', interval '30 days'))
      w (span, length)
    LEFT JOIN seen t ON ${SAME_KEY} AND CASE WHEN s.no = 0
      THEN t.event_ts > $3::timestamptz - w.length AND t.event_ts <= $3 ELSE ${HOURS} END
  GROUP BY s.subject, w.span`

const LAST = `WITH ${SEEN}
  SELECT event_ts AS at, latitude, longitude FROM seen
  WHERE user_id = $4 AND event_ts > $3::timestamptz - interval '30 days' AND event_ts <= $3
    AND ($5 || $6 || $7 || $8) IS NOT NULL
  ORDER BY event_ts DESC, no DESC LIMIT 1`

// $9: the last label that was recorded by then
const TRUTHS = `WITH known AS (
    SELECT DISTINCT ON (l.transaction_id) l.label = 'fraud' AS fraud, t.* FROM fraud.label l
      JOIN fraud.transaction t USING (tenant, transaction_id)
    WHERE l.tenant = $1 AND l.labelled_at <= $3 AND l.id <= $9 AND $2::text[] IS NOT NULL AND $8::text IS NOT NULL
    ORDER BY l.transaction_id, l.labelled_at DESC, l.id DESC)
  SELECT s.subject, t.fraud, t.event_ts AS at FROM ${SUBJECT}
    CROSS JOIN (VALUES (interval '30 days')) w (length) JOIN known t ON ${SAME_KEY} AND ${HOURS}
  ORDER BY s.subject, t.event_ts DESC, substring(sha256(convert_to(t.transaction_id, 'UTF8')), 1, 6) DESC`

interface TotalRow {
  subject: 'user' | 'merchant' | 'location' | 'method'
  span: '1h' | '1d' | '7d' | '30d'
  count: number
  same: number
  sum: number
  max: number
  merchants: number
  here: number
  median: number
  deviation: number
}
interface TruthRow {
  subject: TotalRow['subject']
  fraud: boolean
  at: Date
}

/** What was decided before a payment, and the last label recorded by then. */
export interface Before {
  tenant: string
  ids: string[]
  label: number
}

function addTotals(expected: Map<Feature, number>, rows: TotalRow[], amount: number): void {
  for (const { subject, span, count, same, sum, max, ...row } of rows) {
    expected.set(`${subject}_transaction_count_${span}`, count)
    expected.set(`${subject}_amount_${span}`, sum / 100)
    if (subject !== 'user' || span !== '30d')
      expected.set(`${subject}_avg_transaction_${span}`, same === 0 ? 0 : sum / same / 100)
    expected.set(`${subject}_max_transaction_${span}`, max / 100)
    if (subject !== 'user') continue
    expected.set(`user_distinct_merchants_${span}`, row.merchants)
    if (span !== '30d') continue
    const average = same === 0 ? 0 : sum / same / 100
    expected.set('user_avg_transaction', average)
    expected.set('user_merchant_count_30d', row.here)
    expected.set('amount_to_average', average === 0 ? 1 : amount / average)
    expected.set('amount_to_median', row.median === 0 ? 1 : (amount * 100) / row.median)
    expected.set('amount_to_max', max === 0 ? 1 : (amount * 100) / max)
    const deviation = row.deviation < 1e-9 ? 0 : row.deviation / 100
    expected.set('amount_deviation', deviation === 0 ? 0 : (amount - average) / deviation)
  }
}

const RISKS = {
  user: 'user_risk_score',
  merchant: 'merchant_risk_score',
  location: 'location_risk_score',
  method: 'method_risk_score',
} as const

function addTruth(expected: Map<Feature, number>, rows: TruthRow[], at: number): void {
  for (const subject of Object.keys(RISKS) as TotalRow['subject'][]) {
    const known = rows.filter((row) => row.subject === subject)
    const frauds = known.filter(({ fraud }) => fraud).length
    const newest = known.slice(0, 16)
    const genuine = newest.findIndex(({ fraud }) => !fraud)
    const streak = newest.slice(0, genuine < 0 ? newest.length : genuine)
    const since = streak.at(-1)
    expected.set(RISKS[subject], (frauds + 0.2) / (known.length + 20))
    expected.set(`${subject}_fraud_streak`, streak.length)
    expected.set(`${subject}_fraud_streak_hours`, since ? (at - since.at.getTime()) / 3_600_000 : 0)
    expected.set(
      `${subject}_latest_fraud_rate`,
      newest.length === 0 ? 0 : newest.filter(({ fraud }) => fraud).length / newest.length,
    )
  }
}

/** Every feature of a payment that comes out of windows; amounts in a currency with two decimals. */
export async function windowsByBruteForce(
  client: pg.Client,
  facts: Facts,
  before: Before,
): Promise<Map<Feature, number>> {
  const { at, minor, currency, account, merchant, method, cell, latitude, longitude } = facts
  const values = [
    before.tenant,
    before.ids,
    new Date(at).toISOString(),
    account,
    merchant,
    cell,
    method,
    currency,
  ]
  const expected = new Map<Feature, number>()
  addTotals(expected, (await client.query<TotalRow>(TOTALS, values)).rows, minor / 100)
  addTruth(expected, (await client.query<TruthRow>(TRUTHS, [...values, before.label])).rows, at)
  const { rows } = await client.query<{ at: Date; latitude: number; longitude: number }>(LAST, values)
  const [last] = rows
  const hours = last ? (at - last.at.getTime()) / 3_600_000 : 720
  const km = last ? distanceKm(last, { latitude: latitude!, longitude: longitude! }) : 0
  expected.set('hours_since_last', hours)
  expected.set('km_since_last', km)
  expected.set('kmh_since_last', last ? km / Math.max(hours, 1 / 60) : 0)
  return expected
}

/** The features that are windows: all but those of the payment alone. */
export const WINDOW_FEATURES = FEATURES.filter(
  (name) => !['amount', 'hour_of_day', 'day_of_week', 'payment_method_encoded'].includes(name),
)
