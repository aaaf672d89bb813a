import type { ClientBase } from 'pg'
import { type AuditEntry, appendStatement } from '#libs/audit'
import { cellOf } from '../features/cell.js'
import type { Features } from '../features/features.js'
import type { Decision } from './answer.js'
import { toMinorUnits } from './currency.js'
import type { Transaction } from './transaction.js'

/** A decision that is there already. */
export interface StoredDecision {
  response: string
  bodySha256: Buffer
}

/**
 * Payments of one account are decided one after the other, through any number of replicas: each sees all that were
 * decided before it. The lock ends with the transaction.
 */
export async function lockAccount(client: ClientBase, tenant: string, userId: string): Promise<void> {
  await client.query({
    name: 'fraud-lock',
    text: `SELECT pg_advisory_xact_lock(hashtextextended($1, 1))`,
    values: [JSON.stringify([tenant, userId])],
  })
}

/** The decision under this id, or undefined. */
export async function findDecision(
  client: ClientBase,
  tenant: string,
  id: string,
): Promise<StoredDecision | undefined> {
  const { rows } = await client.query<{ response: string; body_sha256: Buffer }>({
    name: 'fraud-find',
    text: `SELECT d.response, t.body_sha256 FROM fraud.decision d JOIN fraud.transaction t USING (tenant, transaction_id)
      WHERE d.tenant = $1 AND d.transaction_id = $2`,
    values: [tenant, id],
  })
  const row = rows[0]
  return row && { response: row.response, bodySha256: row.body_sha256 }
}

/** Everything that a decision leaves behind. */
export interface Decided {
  tenant: string
  transaction: Transaction
  bodySha256: Buffer
  answer: Decision
  features: Features
  modelDigest: string | null
  response: string
  audit: AuditEntry
}

const SQL = `
  WITH transaction AS (
    INSERT INTO fraud.transaction (tenant, transaction_id, user_id, merchant_id, amount_minor, currency, event_ts,
      latitude, longitude, cell, payment_method, metadata, body_sha256)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
    ON CONFLICT (tenant, transaction_id) DO NOTHING RETURNING transaction_id),
  decision AS (
    INSERT INTO fraud.decision (decision_id, tenant, transaction_id, user_id, merchant_id, decision, risk_score,
      degraded, features, model_name, model_version, model_digest, policy_version, audit_entry_id, response)
    SELECT $14, $1, transaction_id, $3, $4, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24 FROM transaction),
  event AS (
    INSERT INTO fraud.outbox (id, topic, key, payload)
    SELECT $14, 'decision.' || $15, $3, $25::jsonb FROM transaction)
  SELECT audit.append($23, $26) FROM transaction`

/**
 * Stores payment, decision, event and audit entry in one statement. False where another payment took the id at the
 * same moment: then nothing is stored.
 */
export async function storeDecision(client: ClientBase, decided: Decided): Promise<boolean> {
  const { tenant, transaction: t, answer, features, modelDigest, response, audit, bodySha256 } = decided
  const entry = appendStatement(audit)
  const event = {
    transaction_id: t.transaction_id,
    decision_id: answer.decision_id,
    decision: answer.decision,
    risk_score: answer.risk_score,
  }
  const { rowCount } = await client.query({
    name: 'fraud-store',
    text: SQL,
    values: [
      tenant,
      t.transaction_id,
      t.user_id,
      t.merchant_id,
      toMinorUnits(t.amount, t.currency)!.toString(),
      t.currency,
      t.timestamp,
      t.location.latitude,
      t.location.longitude,
      cellOf(t.location),
      t.payment_method,
      t.metadata ?? null,
      bodySha256,
      answer.decision_id,
      answer.decision,
      answer.risk_score,
      answer.degraded,
      features,
      answer.model?.name ?? null,
      answer.model?.version ?? null,
      modelDigest,
      answer.policy_version,
      ...entry.values.slice(0, 1),
      response,
      event,
      ...entry.values.slice(1),
    ],
  })
  return rowCount === 1
}
