import type { ClientBase } from 'pg'
import { WINDOW_STATE } from './window-state.sql.js'
import { accountsOf, HOT_MERCHANT, HOT_PER_DAY, hotPaymentsOf, MERCHANTS, places } from './world.js'

/** $1 payments, $2 accounts, $3 of them at the hot merchant, $4 those a day, $5 merchants, $6-$8 places as columns. */
const PAYMENTS = `
  SELECT 'h-' || i AS transaction_id, 'u-' || (hashint8(i) & 2147483647) % $2::int AS user_id,
    merchant.id AS merchant_id, 100 + (hashint8(i + 7) & 2147483647) % 20000 AS amount_minor, event.ts AS event_ts,
    ($6::float8[])[place.at] AS latitude, ($7::float8[])[place.at] AS longitude, ($8::text[])[place.at] AS cell
  FROM generate_series(1, $1::bigint) i
    CROSS JOIN LATERAL (SELECT (hashint8(i + 13) & 2147483647) % $5::int AS n, i <= $3::bigint AS hot) m
    CROSS JOIN LATERAL (SELECT CASE WHEN m.hot THEN '${HOT_MERCHANT}' ELSE 'm-' || m.n END AS id) merchant
    CROSS JOIN LATERAL (SELECT 1 + m.n % 1000 AS at) place
    CROSS JOIN LATERAL (SELECT now() - CASE WHEN m.hot THEN interval '1 day' * (i / $4::float8)
      ELSE interval '30 days' * ((i - $3::bigint) / ($1::bigint - $3::bigint)::float8) END AS ts) event`

/** The truth becomes known a week later: about one payment in two hundred was a fraud. */
const FRAUD = 'hashtext(p.transaction_id) % 200 = 0'
const OLD_ENOUGH = "event_ts < now() - interval '7 days'"

const PRODUCT = [
  `INSERT INTO fraud.transaction (tenant, transaction_id, user_id, merchant_id, amount_minor, currency, event_ts,
     latitude, longitude, cell, payment_method, received_at)
   SELECT 'default', transaction_id, user_id, merchant_id, amount_minor, 'USD', event_ts, latitude, longitude, cell,
     'card_present', event_ts FROM (${PAYMENTS}) p`,
  `INSERT INTO fraud.transaction_id (tenant, transaction_id, received_at)
   SELECT tenant, transaction_id, received_at FROM fraud.transaction`,
  `INSERT INTO fraud.label (tenant, transaction_id, label, source, labelled_at, merchant_id, cell, event_ts)
   SELECT tenant, transaction_id, CASE WHEN ${FRAUD} THEN 'fraud' ELSE 'legitimate' END, 'import',
     event_ts + interval '7 days', merchant_id, cell, event_ts FROM fraud.transaction p WHERE ${OLD_ENOUGH}`,
  ...WINDOW_STATE,
]

const BASELINE = [
  `INSERT INTO payment (id, "userId", "merchantId", "amountMinor", currency, "eventTs", latitude, longitude, cell,
     "paymentMethod", "createdAt")
   SELECT transaction_id, user_id, merchant_id, amount_minor, 'USD', event_ts, latitude, longitude, cell,
     'card_present', event_ts FROM (${PAYMENTS}) p`,
  `INSERT INTO label ("transactionId", "merchantId", cell, fraud, "eventTs", "labelledAt")
   SELECT transaction_id, "merchantId", cell, ${FRAUD}, "eventTs", "eventTs" + interval '7 days'
   FROM (SELECT id AS transaction_id, "merchantId", cell, "eventTs", "eventTs" AS event_ts FROM payment) p WHERE ${OLD_ENOUGH}`,
]

/** A service whose history is filled, and everything that the result depends on, for the template's name. */
export const FILLS = { product: PRODUCT, baseline: BASELINE } as const
export type Filled = keyof typeof FILLS

/** Fills a history set by set, as the superuser in the caller's transaction: what a bank brings on the day it goes live. */
export async function fill(client: ClientBase, service: Filled, payments: number): Promise<void> {
  const { latitude, longitude, cell } = places()
  const counts = [payments, accountsOf(payments), hotPaymentsOf(payments), HOT_PER_DAY, MERCHANTS]
  // Foreign keys of rows that these statements make themselves need no look-up each.
  await client.query("SET LOCAL session_replication_role = replica; SET LOCAL work_mem = '256MB'")
  const [first, ...rest] = FILLS[service]
  await client.query(first!, [...counts, latitude, longitude, cell])
  for (const statement of rest) await client.query(statement)
}
