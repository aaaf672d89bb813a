import type { ClientBase } from 'pg'
import { type AuditEntry, appendAllAudit } from '#libs/audit'
import type { Facts } from '../features/facts.js'
import type { Decision } from './answer.js'
import { unpack, withFeatures } from './snapshot.js'
import type { Transaction } from './transaction.js'

/** A payment that asks for its id and its place behind those of its account. */
export interface Arrival {
  tenant: string
  transaction: Transaction
  facts: Facts
  bodySha256: Buffer
  /** As its account keeps it. */
  record: Buffer
}

// Ids first, accounts after them, each in one order: no two transactions wait for each other. The payments are put
// behind those of their account before its windows are read, so that whoever comes next sees them.
const RESERVE = `
  WITH arrival AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::text[], $5::bytea[]) WITH ORDINALITY
      AS a (tenant, transaction_id, sha, user_id, record, n)),
  fresh AS (
    INSERT INTO fraud.transaction_id (tenant, transaction_id, body_sha256, received_at)
    SELECT tenant, transaction_id, sha, now() FROM arrival ORDER BY tenant, transaction_id
    ON CONFLICT DO NOTHING RETURNING tenant, transaction_id),
  account AS (
    INSERT INTO fraud.account AS a (tenant, user_id, recent)
    SELECT tenant, user_id, string_agg(record, '' ORDER BY n) FROM arrival JOIN fresh USING (tenant, transaction_id)
    GROUP BY tenant, user_id ORDER BY tenant, user_id
    ON CONFLICT (tenant, user_id) DO UPDATE SET recent = a.recent || EXCLUDED.recent
    RETURNING tenant, user_id, recent, past)
  SELECT tenant, transaction_id AS id, NULL::bytea AS recent, NULL::bytea AS past FROM fresh
  UNION ALL SELECT tenant, user_id, recent, past FROM account`

interface Reserved {
  tenant: string
  id: string
  recent: Buffer | null
  past: Buffer | null
}

export interface Reservation {
  /** The payments whose id was free. */
  fresh: { tenant: string; id: string }[]
  /** Their accounts, these payments included. */
  accounts: { tenant: string; id: string; recent: Buffer; past: Buffer }[]
}

/**
 * Takes the ids of payments, each named once, and locks their accounts until the transaction ends. Waits for whoever
 * is deciding under the same id or of the same account.
 */
export async function reserve(client: ClientBase, arrivals: readonly Arrival[]): Promise<Reservation> {
  const { rows } = await client.query<Reserved>({
    name: 'fraud-reserve',
    text: RESERVE,
    values: [
      arrivals.map(({ tenant }) => tenant),
      arrivals.map(({ transaction }) => transaction.transaction_id),
      arrivals.map(({ bodySha256 }) => bodySha256),
      arrivals.map(({ transaction }) => transaction.user_id),
      arrivals.map(({ record }) => record),
    ],
  })
  return {
    fresh: rows.filter(({ recent }) => recent === null),
    accounts: rows.filter((row): row is Reservation['accounts'][number] => row.recent !== null),
  }
}

/** A decision that is there already; without a response where the payment was imported. */
export interface StoredDecision {
  bodySha256: Buffer | null
  response: string | null
}

const FIND = `
  SELECT k.n::int AS n, i.body_sha256 AS sha, d.response, d.features, s.names
  FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS k (tenant, transaction_id, n)
    JOIN fraud.transaction_id i USING (tenant, transaction_id)
    LEFT JOIN fraud.decision d ON d.tenant = i.tenant AND d.decided_at = i.received_at
      AND d.transaction_id = i.transaction_id
    LEFT JOIN fraud.feature_set s ON s.id = d.feature_set`

/** The decisions under some ids, in their order; undefined where an id is free. */
export async function findDecisions(
  client: ClientBase,
  ids: readonly { tenant: string; id: string }[],
): Promise<(StoredDecision | undefined)[]> {
  const { rows } = await client.query<{
    n: number
    sha: Buffer | null
    response: string | null
    features: Buffer | null
    names: string[] | null
  }>({
    name: 'fraud-find',
    text: FIND,
    values: [ids.map(({ tenant }) => tenant), ids.map(({ id }) => id)],
  })
  const found: (StoredDecision | undefined)[] = ids.map(() => undefined)
  for (const { n, sha, response, features, names } of rows)
    found[n - 1] = {
      bodySha256: sha,
      response: response && withFeatures(response, unpack(features!, names!)),
    }
  return found
}

/** Everything that a decision leaves behind, besides windows. */
export interface Decided {
  tenant: string
  transaction: Transaction
  facts: Facts
  answer: Decision
  /** The snapshot, packed. */
  features: Buffer
  featureSet: number
  modelDigest: string | null
  /** The answer without its features. */
  response: string
  audit: AuditEntry
  /** W3C Trace Context of the request, for whoever takes the event. */
  traceparent?: string
}

const TRANSACTIONS = `
  INSERT INTO fraud.transaction (tenant, transaction_id, user_id, merchant_id, amount_minor, currency, event_ts, latitude,
    longitude, cell, payment_method, metadata, received_at)
  SELECT tenant, transaction_id, user_id, merchant_id, amount_minor, currency, event_ts, latitude, longitude, cell,
    payment_method, metadata::jsonb, now()
  FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::timestamptz[], $8::float8[],
    $9::float8[], $10::text[], $11::text[], $12::text[]) AS t (tenant, transaction_id, user_id, merchant_id, amount_minor,
    currency, event_ts, latitude, longitude, cell, payment_method, metadata)`

/** JSON holds no control character: as one text it needs no quoting of all its quotes. */
const SEPARATOR = `E'\\x1e'`
const joined = (texts: readonly string[]): string => texts.join('\u001e')

const DECISIONS = `
  INSERT INTO fraud.decision (decision_id, tenant, transaction_id, user_id, merchant_id, decision, risk_score, degraded,
    feature_set, features, model_name, model_version, model_digest, policy_version, audit_entry_id, response, decided_at)
  SELECT decision_id, tenant, transaction_id, user_id, merchant_id, decision, risk_score, degraded, feature_set, features,
    model_name, model_version, model_digest, policy_version, audit_entry_id, response, now()
  FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::float8[], $8::boolean[],
    $9::int[], $10::bytea[], $11::text[], $12::text[], $13::text[], $14::text[], $15::uuid[], string_to_array($16, ${SEPARATOR}))
    AS d (decision_id, tenant, transaction_id, user_id, merchant_id, decision, risk_score, degraded, feature_set, features,
      model_name, model_version, model_digest, policy_version, audit_entry_id, response)`

const EVENTS = `
  INSERT INTO fraud.outbox (id, topic, key, payload)
  SELECT id, topic, key, payload::jsonb FROM unnest($1::uuid[], $2::text[], $3::text[], string_to_array($4, ${SEPARATOR}))
    AS e (id, topic, key, payload)`

const eventOf = ({ answer, traceparent }: Decided): string =>
  JSON.stringify({
    transaction_id: answer.transaction_id,
    decision_id: answer.decision_id,
    decision: answer.decision,
    risk_score: answer.risk_score,
    ...(traceparent ? { traceparent } : {}),
  })

/** Stores payments, decisions, events and audit entries in the caller's transaction. */
export function storeDecisions(client: ClientBase, all: readonly Decided[]): Promise<unknown>[] {
  const of = <T>(column: (decided: Decided) => T): T[] => all.map(column)
  const tenants = of(({ tenant }) => tenant)
  const ids = of(({ transaction }) => transaction.transaction_id)
  const users = of(({ transaction }) => transaction.user_id)
  const merchants = of(({ transaction }) => transaction.merchant_id)
  const decisionIds = of(({ answer }) => answer.decision_id)
  return [
    client.query({
      name: 'fraud-transactions',
      text: TRANSACTIONS,
      values: [
        tenants,
        ids,
        users,
        merchants,
        of(({ facts }) => facts.minor),
        of(({ facts }) => facts.currency),
        of(({ facts }) => new Date(facts.at).toISOString()),
        of(({ facts }) => facts.latitude),
        of(({ facts }) => facts.longitude),
        of(({ facts }) => facts.cell),
        of(({ facts }) => facts.method),
        of(({ transaction }) => (transaction.metadata ? JSON.stringify(transaction.metadata) : null)),
      ],
    }),
    client.query({
      name: 'fraud-decisions',
      text: DECISIONS,
      values: [
        decisionIds,
        tenants,
        ids,
        users,
        merchants,
        of(({ answer }) => answer.decision),
        of(({ answer }) => answer.risk_score),
        of(({ answer }) => answer.degraded),
        of(({ featureSet }) => featureSet),
        of(({ features }) => features),
        of(({ answer }) => answer.model?.name ?? null),
        of(({ answer }) => answer.model?.version ?? null),
        of(({ modelDigest }) => modelDigest),
        of(({ answer }) => answer.policy_version),
        of(({ answer }) => answer.audit_entry_id),
        joined(of(({ response }) => response)),
      ],
    }),
    client.query({
      name: 'fraud-events',
      text: EVENTS,
      values: [decisionIds, of(({ answer }) => `decision.${answer.decision}`), users, joined(of(eventOf))],
    }),
    appendAllAudit(
      client,
      of(({ audit }) => audit),
    ),
  ]
}

/** The number of a feature set, which is made where there is none. */
export async function featureSetOf(client: ClientBase, names: readonly string[]): Promise<number> {
  await client.query('INSERT INTO fraud.feature_set (names) VALUES ($1) ON CONFLICT DO NOTHING', [names])
  const { rows } = await client.query<{ id: number }>('SELECT id FROM fraud.feature_set WHERE names = $1', [
    names,
  ])
  return rows[0]!.id
}
