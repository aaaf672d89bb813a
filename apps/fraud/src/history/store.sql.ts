import type { ClientBase } from 'pg'
import { appendAudit } from '#libs/audit'
import type { Facts } from '../features/facts.js'
import { foldPayments } from '../features/fold.sql.js'
import { addLabels, type LabelledPayment, type NewLabel } from '../labels/label.sql.js'
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

// Each line looks its payment up by itself (OFFSET 0 keeps the planner from joining whole tables): statistics lag
// behind a load, and a plan made for an empty table costs the square of the lines.
const RESERVE = `
  INSERT INTO fraud.transaction_id (tenant, transaction_id, received_at)
  SELECT $1, id, now() FROM unnest($2::text[]) AS l (id) ORDER BY id
  ON CONFLICT DO NOTHING RETURNING transaction_id AS id`

const ADD = `
  INSERT INTO fraud.transaction (tenant, transaction_id, user_id, merchant_id, amount_minor, currency, event_ts,
    latitude, longitude, cell, payment_method, received_at)
  SELECT $1, l.*, now() FROM unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::timestamptz[],
    $8::float8[], $9::float8[], $10::text[], $11::text[]) AS l`

const CONFLICTS = `
  SELECT l.transaction_id AS id FROM unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::timestamptz[])
      AS l (transaction_id, user_id, merchant_id, amount_minor, currency, event_ts)
    CROSS JOIN LATERAL (SELECT * FROM fraud.transaction_id
      WHERE tenant = $1 AND transaction_id = l.transaction_id OFFSET 0) i
    CROSS JOIN LATERAL (SELECT * FROM fraud.transaction WHERE received_at = i.received_at AND tenant = $1
      AND transaction_id = l.transaction_id OFFSET 0) t
  WHERE (t.user_id, t.merchant_id, t.amount_minor, t.currency, t.event_ts)
    IS DISTINCT FROM (l.user_id, l.merchant_id, l.amount_minor, l.currency, l.event_ts)`

const UNLABELLED = `
  SELECT l.id FROM unnest($2::text[], $3::text[]) AS l (id, label)
  WHERE 0 = (SELECT count(*) FROM fraud.label k WHERE k.tenant = $1 AND k.transaction_id = l.id
    AND k.source = 'import' AND k.label = l.label)`

const column = <K extends keyof PastPayment>(batch: readonly PastPayment[], name: K) =>
  batch.map((payment) => payment[name])
const idsOf = async (answer: Promise<{ rows: { id: string }[] }>): Promise<Set<string>> =>
  new Set((await answer).rows.map(({ id }) => id))

const factsOf = (payment: PastPayment): Facts => ({
  at: Date.parse(payment.at),
  minor: Number(payment.amountMinor),
  currency: payment.currency,
  account: payment.userId,
  merchant: payment.merchantId,
  method: payment.method,
  cell: payment.cell,
  latitude: payment.latitude,
  longitude: payment.longitude,
})

const labelOf = ({ transactionId, label, labelledAt }: PastPayment): NewLabel => ({
  transactionId,
  label: label!,
  source: 'import',
  labelledAt: labelledAt!,
})
const labelledOf = (payment: PastPayment): LabelledPayment => ({
  ...payment,
  eventTs: new Date(payment.at),
})

/** Stores the payments whose id was free, in their order, and adds them to windows. */
async function addPayments(client: ClientBase, tenant: string, fresh: readonly PastPayment[]): Promise<void> {
  if (fresh.length === 0) return
  await client.query(ADD, [
    tenant,
    column(fresh, 'transactionId'),
    column(fresh, 'userId'),
    column(fresh, 'merchantId'),
    column(fresh, 'amountMinor'),
    column(fresh, 'currency'),
    column(fresh, 'at'),
    column(fresh, 'latitude'),
    column(fresh, 'longitude'),
    column(fresh, 'cell'),
    column(fresh, 'method'),
  ])
  await foldPayments(
    client,
    fresh.map((payment) => ({ tenant, facts: factsOf(payment) })),
  )
}

async function labelPayments(
  client: ClientBase,
  tenant: string,
  batch: readonly PastPayment[],
): Promise<number> {
  const labelled = batch.filter(({ label }) => label !== null)
  const unlabelled = await idsOf(
    client.query(UNLABELLED, [tenant, column(labelled, 'transactionId'), column(labelled, 'label')]),
  )
  const payments = labelled.filter(({ transactionId }) => unlabelled.has(transactionId))
  if (payments.length === 0) return 0
  const labels = new Map(payments.map((payment) => [payment.transactionId, labelOf(payment)]))
  await addLabels(client, tenant, payments.map(labelledOf), labels)
  return payments.length
}

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
  const free = await idsOf(client.query(RESERVE, [tenant, column(batch, 'transactionId')]))
  const fresh = batch.filter(({ transactionId }) => free.has(transactionId))
  await addPayments(client, tenant, fresh)
  const known = batch.filter(({ transactionId }) => !free.has(transactionId))
  const taken = await idsOf(
    client.query(CONFLICTS, [
      tenant,
      column(known, 'transactionId'),
      column(known, 'userId'),
      column(known, 'merchantId'),
      column(known, 'amountMinor'),
      column(known, 'currency'),
      column(known, 'at'),
    ]),
  )
  const labels = await labelPayments(
    client,
    tenant,
    batch.filter(({ transactionId }) => !taken.has(transactionId)),
  )
  if (fresh.length + labels > 0) {
    await appendAudit(client, {
      tenant,
      service: 'fraud',
      actor: { type: 'system', id: 'fraud-import' },
      action: 'HISTORY_IMPORTED',
      outcome: 'success',
      correlationId,
      details: { payments: fresh.length, labels },
    })
  }
  const conflicts = [...batch.keys()].filter((at) => taken.has(batch[at]!.transactionId))
  return { added: fresh.length, known: known.length - conflicts.length, labels, conflicts }
}
