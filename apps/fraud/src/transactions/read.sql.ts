import type pg from 'pg'
import { z } from 'zod'
import { Decision } from './answer.js'
import { unpack, withFeatures } from './snapshot.js'
import { Identifier, Instant } from './transaction.js'

/** A payment with its decision and everything that is known of its truth. */
export interface StoredTransaction {
  transaction: Record<string, unknown>
  decision: Decision | null
  labels: { label: string; source: string; labelled_at: string }[]
}

interface Row {
  transaction: Record<string, unknown>
  response: string | null
  features: Buffer | null
  names: string[] | null
  labels: StoredTransaction['labels'] | null
}

const answerOf = ({ response, features, names }: Pick<Row, 'response' | 'features' | 'names'>): Decision =>
  JSON.parse(withFeatures(response!, unpack(features!, names!)))

/** One payment of the tenant, or undefined. */
export async function findTransaction(
  pool: pg.Pool,
  tenant: string,
  id: string,
): Promise<StoredTransaction | undefined> {
  const { rows } = await pool.query<Row>(
    `SELECT jsonb_build_object('transaction_id', t.transaction_id, 'user_id', t.user_id, 'merchant_id', t.merchant_id,
        'amount_minor', t.amount_minor, 'currency', t.currency, 'timestamp', t.event_ts, 'payment_method', t.payment_method,
        'location', CASE WHEN t.latitude IS NOT NULL THEN jsonb_build_object('latitude', t.latitude, 'longitude', t.longitude) END,
        'metadata', t.metadata, 'received_at', t.received_at) AS transaction,
      d.response, d.features, s.names,
      (SELECT jsonb_agg(jsonb_build_object('label', l.label, 'source', l.source, 'labelled_at', l.labelled_at) ORDER BY l.labelled_at, l.id)
        FROM fraud.label l WHERE l.tenant = t.tenant AND l.transaction_id = t.transaction_id) AS labels
     FROM fraud.transaction_id i JOIN fraud.transaction t USING (received_at, tenant, transaction_id)
       LEFT JOIN fraud.decision d ON d.tenant = i.tenant AND d.decided_at = i.received_at
         AND d.transaction_id = i.transaction_id
       LEFT JOIN fraud.feature_set s ON s.id = d.feature_set
     WHERE i.tenant = $1 AND i.transaction_id = $2`,
    [tenant, id],
  )
  const row = rows[0]
  return (
    row && {
      transaction: row.transaction,
      decision: row.response === null ? null : answerOf(row),
      labels: row.labels ?? [],
    }
  )
}

export const DecisionQuery = z
  .strictObject({
    user_id: Identifier.optional(),
    merchant_id: Identifier.optional(),
    decision: z.enum(['approve', 'review', 'decline']).optional(),
    from: Instant.optional(),
    to: Instant.optional(),
    cursor: z.string().max(256).optional(),
    limit: z.coerce.number().int().min(1).max(1000).default(100),
  })
  .meta({ id: 'DecisionQuery' })

export const DecisionPage = z
  .strictObject({ decisions: z.array(Decision), next_cursor: z.string().nullable() })
  .meta({ id: 'DecisionPage' })
export type DecisionPage = z.infer<typeof DecisionPage>

/** A time as PostgreSQL writes it, to the microsecond. */
const Written = z
  .string()
  .regex(/^2\d{3}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})?\+00$/)
  .refine((text) => !Number.isNaN(Date.parse(text.replace(' ', 'T').replace('+00', 'Z'))))
const Cursor = z.tuple([Written, z.uuid()])

function decode(cursor: string): [string, string] | undefined {
  try {
    return Cursor.parse(JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8')))
  } catch {
    return undefined
  }
}

/** A page of decisions, newest first; undefined where the cursor is none of ours. */
export async function listDecisions(
  pool: pg.Pool,
  tenant: string,
  query: z.infer<typeof DecisionQuery>,
): Promise<DecisionPage | undefined> {
  const after = query.cursor === undefined ? null : decode(query.cursor)
  if (after === undefined) return undefined
  const values: unknown[] = [tenant]
  const clauses = ['tenant = $1']
  const add = (clause: (parameter: string) => string, value: unknown) => {
    if (value === undefined) return
    values.push(value)
    clauses.push(clause(`$${values.length}`))
  }
  add((p) => `user_id = ${p}`, query.user_id)
  add((p) => `merchant_id = ${p}`, query.merchant_id)
  add((p) => `decision = ${p}`, query.decision)
  add((p) => `decided_at >= ${p}::timestamptz`, query.from)
  add((p) => `decided_at < ${p}::timestamptz`, query.to)
  if (after) {
    values.push(...after)
    clauses.push(`(decided_at, decision_id) < ($${values.length - 1}::timestamptz, $${values.length}::uuid)`)
  }
  const { rows } = await pool.query<Row & { at: string; decision_id: string }>(
    `SELECT response, features, (SELECT names FROM fraud.feature_set WHERE id = feature_set) AS names, (decided_at AT TIME ZONE 'UTC')::text || '+00' AS at, decision_id FROM fraud.decision WHERE ${clauses.join(' AND ')}
     ORDER BY decided_at DESC, decision_id DESC LIMIT ${query.limit + 1}`,
    values,
  )
  const page = rows.slice(0, query.limit)
  const last = rows.length > query.limit ? page.at(-1) : undefined
  return {
    decisions: page.map(answerOf),
    next_cursor: last ? Buffer.from(JSON.stringify([last.at, last.decision_id])).toString('base64url') : null,
  }
}
