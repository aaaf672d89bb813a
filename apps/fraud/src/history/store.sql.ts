import type { ClientBase } from 'pg'
import { appendAudit } from '#libs/audit'
import type { PastPayment } from './payment.js'

/** What became of a batch. */
export interface Stored {
  added: number
  /** Payments that were there already, unchanged. */
  known: number
  labels: number
  /** Positions in the batch whose transaction_id belongs to another payment. */
  conflicts: number[]
}

// Each line looks its payment up by primary key (OFFSET 0 keeps the planner from joining whole tables): statistics
// lag behind a load, and a plan made for an empty table costs the square of the lines.
const ADD = `
  WITH line AS (
    SELECT * FROM unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::timestamptz[], $8::float8[],
      $9::float8[], $10::text[], $11::text[]) WITH ORDINALITY
      AS l (transaction_id, user_id, merchant_id, amount_minor, currency, event_ts, latitude, longitude, cell, payment_method, at)),
  added AS (
    INSERT INTO fraud.transaction (tenant, transaction_id, user_id, merchant_id, amount_minor, currency, event_ts,
      latitude, longitude, cell, payment_method)
    SELECT $1, transaction_id, user_id, merchant_id, amount_minor, currency, event_ts, latitude, longitude, cell, payment_method
    FROM line ON CONFLICT (tenant, transaction_id) DO NOTHING RETURNING transaction_id)
  SELECT (SELECT count(*)::int FROM added) AS added,
    coalesce(array_agg(l.at::int - 1) FILTER (WHERE (t.user_id, t.merchant_id, t.amount_minor, t.currency, t.event_ts)
      IS DISTINCT FROM (l.user_id, l.merchant_id, l.amount_minor, l.currency, l.event_ts)), '{}') AS conflicts
  FROM line l CROSS JOIN LATERAL (
    SELECT * FROM fraud.transaction WHERE tenant = $1 AND transaction_id = l.transaction_id OFFSET 0) t`

const LABEL = `
  INSERT INTO fraud.label (tenant, transaction_id, label, source, labelled_at, merchant_id, cell, event_ts)
  SELECT $1, l.transaction_id, l.label, 'import', l.labelled_at, t.merchant_id, t.cell, t.event_ts
  FROM unnest($2::text[], $3::text[], $4::timestamptz[]) AS l (transaction_id, label, labelled_at)
    CROSS JOIN LATERAL (
      SELECT * FROM fraud.transaction WHERE tenant = $1 AND transaction_id = l.transaction_id OFFSET 0) t
  WHERE 0 = (SELECT count(*) FROM fraud.label k WHERE k.tenant = $1 AND k.transaction_id = l.transaction_id
    AND k.source = 'import' AND k.label = l.label)`

/**
 * Stores a batch of history in the caller's transaction, and says so in the audit log. The same batch again changes
 * nothing. No transaction_id may come twice in a batch.
 */
export async function storeHistory(
  client: ClientBase,
  tenant: string,
  correlationId: string,
  batch: readonly PastPayment[],
): Promise<Stored> {
  const column = <K extends keyof PastPayment>(name: K) => batch.map((payment) => payment[name])
  const { rows } = await client.query<{ added: number; conflicts: number[] }>(ADD, [
    tenant,
    column('transactionId'),
    column('userId'),
    column('merchantId'),
    column('amountMinor'),
    column('currency'),
    column('at'),
    column('latitude'),
    column('longitude'),
    column('cell'),
    column('method'),
  ])
  const { added, conflicts } = rows[0]!
  const refused = new Set(conflicts)
  const labelled = batch.filter((payment, at) => payment.label !== null && !refused.has(at))
  const { rowCount } = await client.query(LABEL, [
    tenant,
    labelled.map((payment) => payment.transactionId),
    labelled.map((payment) => payment.label),
    labelled.map((payment) => payment.labelledAt),
  ])
  const labels = rowCount ?? 0
  if (added + labels > 0) {
    await appendAudit(client, {
      tenant,
      service: 'fraud',
      actor: { type: 'system', id: 'fraud-import' },
      action: 'HISTORY_IMPORTED',
      outcome: 'success',
      correlationId,
      details: { payments: added, labels },
    })
  }
  return { added, known: batch.length - added - conflicts.length, labels, conflicts }
}
