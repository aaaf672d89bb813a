import type { ClientBase } from 'pg'
import type { Facts } from '../features/facts.js'
import { foldPayments } from '../features/fold.sql.js'
import { changeTruths, timelinesOf } from '../labels/label.sql.js'

const BATCH = 10_000

// Older payments are out of every window's reach. In the order of their receipt, as they were counted first.
const PAYMENTS = `DECLARE payments NO SCROLL CURSOR FOR
  SELECT tenant, transaction_id AS id, user_id AS account, merchant_id AS merchant, payment_method AS method, cell,
    amount_minor::float8 AS minor, currency, event_ts AS at, latitude, longitude
  FROM fraud.transaction WHERE event_ts > (SELECT max(event_ts) FROM fraud.transaction) - interval '75 days'
  ORDER BY received_at, event_ts`

type Row = Omit<Facts, 'at'> & { tenant: string; id: string; at: Date }

async function foldLabels(client: ClientBase, tenant: string, rows: readonly Row[]): Promise<void> {
  const timelines = await timelinesOf(
    client,
    tenant,
    rows.map(({ id }) => id),
  )
  const labelled = rows.filter(({ id }) => timelines.get(id)!.length > 0)
  const payments = labelled.map((row) => ({
    transactionId: row.id,
    userId: row.account,
    merchantId: row.merchant,
    cell: row.cell,
    method: row.method,
    eventTs: row.at,
  }))
  await changeTruths(client, tenant, payments, async () =>
    labelled.map(({ id }) => ({ before: [], after: timelines.get(id)! })),
  )
}

async function fold(client: ClientBase, rows: readonly Row[]): Promise<void> {
  await foldPayments(
    client,
    rows.map(({ tenant, at, ...facts }) => ({ tenant, facts: { ...facts, at: at.getTime() } })),
  )
  for (const tenant of new Set(rows.map((row) => row.tenant)))
    await foldLabels(
      client,
      tenant,
      rows.filter((row) => row.tenant === tenant),
    )
}

/**
 * Makes the state of windows from the payments and labels that are stored, where a migration asked for it, in the
 * caller's transaction. Others who start meanwhile wait. Returns how many payments that were.
 */
export async function rebuildWindows(client: ClientBase): Promise<number> {
  const { rows } = await client.query<{ needed: boolean }>('SELECT needed FROM fraud.rebuild FOR UPDATE')
  if (!rows[0]?.needed) return 0
  await client.query(PAYMENTS)
  for (let done = 0; ; ) {
    const batch = await client.query<Row>(`FETCH ${BATCH} FROM payments`)
    if (batch.rows.length === 0) {
      await client.query('UPDATE fraud.rebuild SET needed = false')
      return done
    }
    await fold(client, batch.rows)
    done += batch.rows.length
  }
}
