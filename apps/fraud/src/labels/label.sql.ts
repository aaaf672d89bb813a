import type { ClientBase } from 'pg'
import { shortHash } from '../features/facts.js'
import { DIMENSIONS, type Key } from '../features/ledger.js'
import { lockTruths, writeTruths } from '../features/state.sql.js'
import {
  decodeTruth,
  emptyTruth,
  encodeTruth,
  type Label,
  type Relabelling,
  relabelled,
} from '../features/truth.js'

/** What is said of a payment's truth. */
export interface NewLabel {
  transactionId: string
  label: 'fraud' | 'legitimate'
  source: 'chargeback' | 'analyst' | 'customer' | 'import'
  /** RFC 3339. */
  labelledAt: string
}

/** A payment that is labelled. */
export interface LabelledPayment {
  transactionId: string
  userId: string
  merchantId: string
  cell: string | null
  method: string
  eventTs: Date
}

const FIND = `
  SELECT t.transaction_id AS "transactionId", t.user_id AS "userId", t.merchant_id AS "merchantId", t.cell,
    t.payment_method AS method, t.event_ts AS "eventTs"
  FROM unnest($2::text[]) AS k (id)
    CROSS JOIN LATERAL (SELECT * FROM fraud.transaction_id WHERE tenant = $1 AND transaction_id = k.id OFFSET 0) i
    CROSS JOIN LATERAL (SELECT * FROM fraud.transaction WHERE received_at = i.received_at AND tenant = $1
      AND transaction_id = k.id OFFSET 0) t`

/** The payments of some ids, those that there are. */
export const findPayments = async (
  client: ClientBase,
  tenant: string,
  ids: readonly string[],
): Promise<LabelledPayment[]> =>
  (await client.query<LabelledPayment>({ name: 'fraud-payments', text: FIND, values: [tenant, ids] })).rows

const TIMELINES = `
  SELECT transaction_id AS id, label = 'fraud' AS fraud, labelled_at AS at
  FROM unnest($2::text[]) AS k (id)
    CROSS JOIN LATERAL (SELECT * FROM fraud.label WHERE tenant = $1 AND transaction_id = k.id ORDER BY id) l`

export async function timelinesOf(
  client: ClientBase,
  tenant: string,
  ids: readonly string[],
): Promise<Map<string, Label[]>> {
  const { rows } = await client.query<{ id: string; fraud: boolean; at: Date }>({
    name: 'fraud-timelines',
    text: TIMELINES,
    values: [tenant, ids],
  })
  const timelines = new Map<string, Label[]>(ids.map((id) => [id, []]))
  for (const { id, fraud, at } of rows) timelines.get(id)!.push({ fraud, at: at.getTime() })
  return timelines
}

const ADD = `
  INSERT INTO fraud.label (tenant, transaction_id, label, source, labelled_at, merchant_id, cell, event_ts)
  SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::text[], $7::text[], $8::timestamptz[])`

const keysOf = (tenant: string, payment: LabelledPayment): Key[] =>
  [
    { tenant, dimension: DIMENSIONS.account, key: payment.userId },
    { tenant, dimension: DIMENSIONS.merchant, key: payment.merchantId },
    { tenant, dimension: DIMENSIONS.place, key: payment.cell },
    { tenant, dimension: DIMENSIONS.method, key: payment.method },
  ].filter((key): key is Key => key.key !== null)
const nameOf = ({ dimension, key }: Key) => `${dimension} ${key}`

/** The changes of labels by the key whose truth they are, keys in the order in which they are locked. */
function byKey(tenant: string, changes: readonly { payment: LabelledPayment; change: Relabelling }[]) {
  const groups = new Map<string, { key: Key; changes: Relabelling[] }>()
  for (const { payment, change } of changes) {
    for (const key of keysOf(tenant, payment)) {
      const group = groups.get(nameOf(key)) ?? { key, changes: [] }
      group.changes.push(change)
      groups.set(nameOf(key), group)
    }
  }
  return groups
}

const inOrder = (a: Key, b: Key): number =>
  a.dimension - b.dimension || (a.key < b.key ? -1 : Number(a.key > b.key))

function lockOrder(tenant: string, payments: readonly LabelledPayment[]): Key[] {
  const keys = new Map(
    payments.flatMap((payment) => keysOf(tenant, payment)).map((key) => [nameOf(key), key]),
  )
  return [...keys.values()].sort(inOrder)
}

/**
 * Changes what is known of the truth about payments' accounts, merchants, places and methods in the caller's
 * transaction. The changes are asked for, in the order of the payments, behind the lock: nobody else labels these
 * payments meanwhile.
 */
export async function changeTruths(
  client: ClientBase,
  tenant: string,
  payments: readonly LabelledPayment[],
  changesOf: () => Promise<{ before: Label[]; after: Label[] }[]>,
): Promise<void> {
  const keys = lockOrder(tenant, payments)
  const known = await lockTruths(client, keys, encodeTruth(emptyTruth()))
  const changes = (await changesOf()).map((timelines, at) => {
    const payment = payments[at]!
    const labelled = { tx: shortHash(payment.transactionId), event: payment.eventTs.getTime() }
    return { payment, change: { payment: labelled, ...timelines } }
  })
  const groups = byKey(tenant, changes)
  const states = known.map(({ n, state }) =>
    encodeTruth(relabelled(decodeTruth(state), groups.get(nameOf(keys[n - 1]!))!.changes)),
  )
  await writeTruths(
    client,
    known.map(({ n }) => keys[n - 1]!),
    states,
  )
}

/**
 * Adds labels to payments, each of them named once. Earlier labels stay, so that what was known at any time can be
 * told.
 */
export async function addLabels(
  client: ClientBase,
  tenant: string,
  payments: readonly LabelledPayment[],
  labels: ReadonlyMap<string, NewLabel>,
): Promise<void> {
  const ids = payments.map(({ transactionId }) => transactionId)
  await changeTruths(client, tenant, payments, async () => {
    const timelines = await timelinesOf(client, tenant, ids)
    return ids.map((id) => {
      const { label, labelledAt } = labels.get(id)!
      const before = timelines.get(id)!
      return { before, after: [...before, { at: Date.parse(labelledAt), fraud: label === 'fraud' }] }
    })
  })
  const of = <T>(column: (label: NewLabel, payment: LabelledPayment) => T): T[] =>
    payments.map((payment) => column(labels.get(payment.transactionId)!, payment))
  await client.query(ADD, [
    tenant,
    of(({ transactionId }) => transactionId),
    of(({ label }) => label),
    of(({ source }) => source),
    of(({ labelledAt }) => new Date(labelledAt).toISOString()),
    of((_, { merchantId }) => merchantId),
    of((_, { cell }) => cell),
    of((_, { eventTs }) => eventTs),
  ])
}
