import type { ClientBase } from 'pg'
import type { Transaction } from '../transactions/transaction.js'
import { cellOf } from './cell.js'
import type { Windows } from './windows.js'

interface Row {
  n1h: string
  n1d: string
  n7d: string
  n30d: string
  same30d: string
  sum30d: string
  max30d: string
  sum1d: string
  merchants1h: string
  merchants1d: string
  at_merchant: string
  last_at: Date | null
  last_latitude: number | null
  last_longitude: number | null
  merchant_labelled: string
  merchant_frauds: string
  cell_labelled: string
  cell_frauds: string
}

/** The truth as of $3 about every labelled payment of one key in the last 30 days. */
const labels = (column: string, parameter: string) => `
  (SELECT count(*) AS labelled, count(*) FILTER (WHERE label = 'fraud') AS frauds FROM (
    SELECT DISTINCT ON (transaction_id) label FROM fraud.label
    WHERE tenant = $1 AND ${column} = ${parameter} AND event_ts > $3::timestamptz - interval '30 days' AND event_ts <= $3
      AND labelled_at <= $3
    ORDER BY transaction_id, labelled_at DESC, id DESC) truth)`

const SQL = `
  WITH account AS (
    SELECT event_ts, amount_minor, currency, merchant_id, latitude, longitude FROM fraud.transaction
    WHERE tenant = $1 AND user_id = $2 AND event_ts > $3::timestamptz - interval '30 days' AND event_ts <= $3),
  sums AS (
    SELECT count(*) FILTER (WHERE event_ts > $3::timestamptz - interval '1 hour') AS n1h,
      count(*) FILTER (WHERE event_ts > $3::timestamptz - interval '1 day') AS n1d,
      count(*) FILTER (WHERE event_ts > $3::timestamptz - interval '7 days') AS n7d,
      count(*) AS n30d,
      count(*) FILTER (WHERE currency = $4) AS same30d,
      coalesce(sum(amount_minor) FILTER (WHERE currency = $4), 0) AS sum30d,
      coalesce(max(amount_minor) FILTER (WHERE currency = $4), 0) AS max30d,
      coalesce(sum(amount_minor) FILTER (WHERE currency = $4 AND event_ts > $3::timestamptz - interval '1 day'), 0) AS sum1d,
      count(DISTINCT merchant_id) FILTER (WHERE event_ts > $3::timestamptz - interval '1 hour') AS merchants1h,
      count(DISTINCT merchant_id) FILTER (WHERE event_ts > $3::timestamptz - interval '1 day') AS merchants1d,
      count(*) FILTER (WHERE merchant_id = $5) AS at_merchant
    FROM account)
  SELECT sums.*, last.event_ts AS last_at, last.latitude AS last_latitude, last.longitude AS last_longitude,
    m.labelled AS merchant_labelled, m.frauds AS merchant_frauds, c.labelled AS cell_labelled, c.frauds AS cell_frauds
  FROM sums
    LEFT JOIN LATERAL (
      SELECT t.event_ts, t.latitude, t.longitude FROM fraud.transaction t
      WHERE t.tenant = $1 AND t.user_id = $2 AND t.event_ts > $3::timestamptz - interval '30 days' AND t.event_ts <= $3
      ORDER BY t.event_ts DESC, t.received_at DESC LIMIT 1) last ON true,
    ${labels('merchant_id', '$5')} m, ${labels('cell', '$6')} c`

/**
 * Reads the windows of a payment in one statement. The caller holds the account's lock, so that every payment that
 * was decided before this one is seen.
 */
export async function readWindows(
  client: ClientBase,
  tenant: string,
  transaction: Transaction,
): Promise<Windows> {
  const { user_id, timestamp, currency, merchant_id, location } = transaction
  const { rows } = await client.query<Row>({
    name: 'fraud-windows',
    text: SQL,
    values: [tenant, user_id, timestamp, currency, merchant_id, cellOf(location)],
  })
  const row = rows[0]!
  return {
    account: {
      count1h: Number(row.n1h),
      count1d: Number(row.n1d),
      count7d: Number(row.n7d),
      count30d: Number(row.n30d),
      sameCurrency30d: Number(row.same30d),
      sum30d: Number(row.sum30d),
      max30d: Number(row.max30d),
      sum1d: Number(row.sum1d),
      distinctMerchants1h: Number(row.merchants1h),
      distinctMerchants1d: Number(row.merchants1d),
      atMerchant30d: Number(row.at_merchant),
      ...(row.last_at
        ? { last: { at: row.last_at.getTime(), latitude: row.last_latitude, longitude: row.last_longitude } }
        : {}),
    },
    merchant: { labelled: Number(row.merchant_labelled), frauds: Number(row.merchant_frauds) },
    cell: { labelled: Number(row.cell_labelled), frauds: Number(row.cell_frauds) },
  }
}
