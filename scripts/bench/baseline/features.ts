import { latLngToCell } from 'h3-js'
import type { EntityManager } from 'typeorm'
import { Label, Payment } from './entities.js'
import { METHOD_CODES, type PaymentBody } from './schema.js'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const EARTH_RADIUS_KM = 6371

export const cellOf = (location: PaymentBody['location']): string =>
  latLngToCell(location.latitude, location.longitude, 5)

/** The account's windows in one query over its payments of 30 days. */
async function accountWindows(manager: EntityManager, body: PaymentBody, at: Date) {
  const since = (ms: number) => `p.eventTs > CAST(:at AS timestamptz) - interval '${ms / HOUR} hours'`
  const row = await manager
    .createQueryBuilder(Payment, 'p')
    .select(`count(*) FILTER (WHERE ${since(HOUR)})`, 'n1h')
    .addSelect(`count(*) FILTER (WHERE ${since(DAY)})`, 'n1d')
    .addSelect(`count(*) FILTER (WHERE ${since(7 * DAY)})`, 'n7d')
    .addSelect('count(*)', 'n30d')
    .addSelect('coalesce(avg(p.amountMinor), 0)', 'average')
    .addSelect('coalesce(max(p.amountMinor), 0)', 'max')
    .addSelect(`coalesce(sum(p.amountMinor) FILTER (WHERE ${since(DAY)}), 0)`, 'sum1d')
    .addSelect(`count(DISTINCT p.merchantId) FILTER (WHERE ${since(HOUR)})`, 'merchants1h')
    .addSelect(`count(DISTINCT p.merchantId) FILTER (WHERE ${since(DAY)})`, 'merchants1d')
    .addSelect('count(*) FILTER (WHERE p.merchantId = :merchant)', 'atMerchant')
    .where('p.userId = :user AND p.eventTs <= :at', { user: body.user_id, at, merchant: body.merchant_id })
    .andWhere(since(30 * DAY))
    .getRawOne<Record<string, string>>()
  return (name: string) => Number(row?.[name] ?? 0)
}

async function risk(manager: EntityManager, where: { merchantId: string } | { cell: string }, at: Date) {
  const [column, value] = Object.entries(where)[0]!
  const row = await manager
    .createQueryBuilder(Label, 'l')
    .select('count(*)', 'labelled')
    .addSelect('count(*) FILTER (WHERE l.fraud)', 'frauds')
    .where(`l.${column} = :value AND l.eventTs <= :at AND l.labelledAt <= :at`, { value, at })
    .andWhere("l.eventTs > CAST(:at AS timestamptz) - interval '30 days'")
    .getRawOne<{ labelled: string; frauds: string }>()
  return (Number(row?.frauds) + 0.2) / (Number(row?.labelled) + 20)
}

function kilometres(from: Payment, to: PaymentBody['location']): number {
  const radians = (degrees: number) => (degrees * Math.PI) / 180
  const h =
    Math.sin(radians(to.latitude - from.latitude) / 2) ** 2 +
    Math.cos(radians(from.latitude)) *
      Math.cos(radians(to.latitude)) *
      Math.sin(radians(to.longitude - from.longitude) / 2) ** 2
  return 2 * EARTH_RADIUS_KM * Math.asin(Math.min(1, Math.sqrt(h)))
}

/** The twenty features of the model's card, by four queries over the raw rows. */
export async function featuresOf(manager: EntityManager, body: PaymentBody): Promise<Record<string, number>> {
  const at = new Date(body.timestamp)
  const account = await accountWindows(manager, body, at)
  const last = await manager
    .createQueryBuilder(Payment, 'p')
    .where('p.userId = :user AND p.eventTs <= :at', { user: body.user_id, at })
    .orderBy('p.eventTs', 'DESC')
    .limit(1)
    .getOne()
  const hours = last ? (at.getTime() - last.eventTs.getTime()) / HOUR : 720
  const km = last ? kilometres(last, body.location) : 0
  const average = account('average') / 100
  return {
    amount: body.amount,
    hour_of_day: at.getUTCHours(),
    day_of_week: (at.getUTCDay() + 6) % 7,
    payment_method_encoded: METHOD_CODES[body.payment_method],
    user_avg_transaction: average,
    user_transaction_count_1h: account('n1h'),
    user_transaction_count_1d: account('n1d'),
    user_transaction_count_7d: account('n7d'),
    user_transaction_count_30d: account('n30d'),
    user_amount_1d: account('sum1d') / 100,
    user_max_transaction_30d: account('max') / 100,
    user_distinct_merchants_1h: account('merchants1h'),
    user_distinct_merchants_1d: account('merchants1d'),
    user_merchant_count_30d: account('atMerchant'),
    amount_to_average: average === 0 ? 1 : body.amount / average,
    hours_since_last: hours,
    km_since_last: km,
    kmh_since_last: km / Math.max(hours, 1 / 60),
    merchant_risk_score: await risk(manager, { merchantId: body.merchant_id }, at),
    location_risk_score: await risk(manager, { cell: cellOf(body.location) }, at),
  }
}
