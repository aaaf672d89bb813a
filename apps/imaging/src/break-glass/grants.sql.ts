import type { ClientBase } from 'pg'
import type { Actor } from '#libs/auth'
import type { QueueQuery } from './grant.js'

/** A grant as it is stored. */
export interface Grant {
  id: string
  tenant: string
  correlationId: string
  patientRef: string
  actor: Actor
  purpose: string
  explanation: Buffer
  grantedAt: Date
  expiresAt: Date
}

/** A grant with what became of it. */
export interface GrantState extends Grant {
  reads: number
  review?: { outcome: 'justified' | 'not_justified'; reviewer: Actor; reviewedAt: Date }
}

interface Row {
  id: string
  tenant: string
  correlation_id: string
  patient_ref: string
  actor_type: Actor['type']
  actor_id: string
  purpose: string
  explanation: Buffer
  granted_at: Date
  expires_at: Date
  reads: string
  outcome: 'justified' | 'not_justified' | null
  reviewer_type: Actor['type']
  reviewer_id: string
  reviewed_at: Date
}

const SELECT = `SELECT g.*, r.outcome, r.reviewer_type, r.reviewer_id, r.reviewed_at,
    (SELECT count(*) FROM imaging.break_glass_read u WHERE u.grant_id = g.id) AS reads
  FROM imaging.break_glass g LEFT JOIN imaging.break_glass_review r ON r.grant_id = g.id`

const toGrant = (row: Row): GrantState => ({
  id: row.id,
  tenant: row.tenant,
  correlationId: row.correlation_id,
  patientRef: row.patient_ref,
  actor: { type: row.actor_type, id: row.actor_id },
  purpose: row.purpose,
  explanation: row.explanation,
  grantedAt: row.granted_at,
  expiresAt: row.expires_at,
  reads: Number(row.reads),
  ...(row.outcome
    ? {
        review: {
          outcome: row.outcome,
          reviewer: { type: row.reviewer_type, id: row.reviewer_id },
          reviewedAt: row.reviewed_at,
        },
      }
    : {}),
})

/** Stores a grant and returns when it ends, by the database's clock. */
export async function insertGrant(
  client: ClientBase,
  grant: Omit<Grant, 'grantedAt' | 'expiresAt'>,
  minutes: number,
): Promise<Date> {
  const { rows } = await client.query<{ expires_at: Date }>(
    `INSERT INTO imaging.break_glass (id, tenant, correlation_id, patient_ref, actor_type, actor_id, purpose,
       explanation, granted_at, expires_at)
     SELECT $1, $2, $3, $4, $5, $6, $7, $8, at, at + make_interval(mins => $9) FROM clock_timestamp() at
     RETURNING expires_at`,
    [
      ...[grant.id, grant.tenant, grant.correlationId, grant.patientRef],
      ...[grant.actor.type, grant.actor.id, grant.purpose, grant.explanation, minutes],
    ],
  )
  return rows[0]!.expires_at
}

/** A grant of the tenant, with the database's time. */
export async function findGrant(
  client: ClientBase,
  tenant: string,
  id: string,
): Promise<{ grant: GrantState; now: Date } | undefined> {
  const { rows } = await client.query<Row & { now: Date }>(
    `${SELECT.replace('SELECT', 'SELECT clock_timestamp() AS now,')} WHERE g.tenant = $1 AND g.id = $2`,
    [tenant, id],
  )
  return rows[0] && { grant: toGrant(rows[0]), now: rows[0].now }
}

export async function insertRead(client: ClientBase, grantId: string, auditEntryId: string): Promise<void> {
  await client.query('INSERT INTO imaging.break_glass_read (grant_id, audit_entry_id) VALUES ($1, $2)', [
    grantId,
    auditEntryId,
  ])
}

/** Stores the one review of a grant; false where it has one. */
export async function insertReview(
  client: ClientBase,
  grantId: string,
  review: { reviewer: Actor; outcome: string; note: Buffer | null },
): Promise<boolean> {
  const { rowCount } = await client.query(
    `INSERT INTO imaging.break_glass_review (grant_id, reviewer_type, reviewer_id, outcome, note)
     VALUES ($1, $2, $3, $4, $5) ON CONFLICT (grant_id) DO NOTHING`,
    [grantId, review.reviewer.type, review.reviewer.id, review.outcome, review.note],
  )
  return rowCount === 1
}

const STATUS = { unreviewed: 'AND r.grant_id IS NULL', reviewed: 'AND r.grant_id IS NOT NULL', all: '' }

/** Grants of a tenant, oldest first; ids are UUIDv7, so that they stand in the order of time. */
export async function listGrants(
  client: ClientBase,
  tenant: string,
  { status, cursor, limit }: QueueQuery,
): Promise<GrantState[]> {
  const { rows } = await client.query<Row>(
    `${SELECT} WHERE g.tenant = $1 AND ($2::uuid IS NULL OR g.id > $2) ${STATUS[status]} ORDER BY g.id LIMIT $3`,
    [tenant, cursor ?? null, limit],
  )
  return rows.map(toGrant)
}
