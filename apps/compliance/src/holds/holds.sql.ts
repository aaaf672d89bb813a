import type { ClientBase } from 'pg'
import type { Person } from '../approvals/approval.js'
import type { Position } from '../page.js'
import type { Hold, HoldQuery } from './hold.js'

export interface HoldRow {
  id: string
  tenant: string
  scope: Hold['scope']
  patient_ref: string | null
  subject_id: string | null
  correlation_id: string | null
  from_time: Date | null
  to_time: Date | null
  class: Hold['class'] | null
  reason: Buffer
  placed_issuer: string
  placed_subject: string
  placed_client: string
  /** With microseconds, as lists page by it. */
  placed_at: string
  released_at: Date | null
  release_approval: string | null
}

const COLUMNS = `id, tenant, scope, patient_ref, subject_id, correlation_id, from_time, to_time, class, reason,
  placed_issuer, placed_subject, placed_client,
  to_char(placed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS placed_at, released_at, release_approval`

export type HeldThing = Pick<HoldRow, 'scope'> & {
  patientRef?: string | undefined
  subject?: string | undefined
  correlationId?: string | undefined
  from?: string | undefined
  to?: string | undefined
  class?: Hold['class']
}

export async function insertHold(
  client: ClientBase,
  { id, tenant, reason }: Pick<HoldRow, 'id' | 'tenant' | 'reason'>,
  held: HeldThing,
  person: Person,
): Promise<void> {
  await client.query(
    `INSERT INTO holds.hold (id, tenant, scope, patient_ref, subject_id, correlation_id, from_time, to_time, class,
       reason, placed_issuer, placed_subject, placed_client)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
    [
      ...[id, tenant, held.scope, held.patientRef ?? null, held.subject ?? null, held.correlationId ?? null],
      ...[held.from ?? null, held.to ?? null, held.class ?? null, reason],
      ...[person.issuer, person.subject, person.client_id],
    ],
  )
}

export async function findHold(client: ClientBase, tenant: string, id: string): Promise<HoldRow | undefined> {
  const { rows } = await client.query<HoldRow>(
    `SELECT ${COLUMNS} FROM holds.hold WHERE tenant = $1 AND id = $2`,
    [tenant, id],
  )
  return rows[0]
}

const STATUS = { standing: 'AND released_at IS NULL', released: 'AND released_at IS NOT NULL' }

/** Holds of a tenant, newest first, one more than the limit to tell of a next page. */
export async function listHolds(
  client: ClientBase,
  tenant: string,
  { status, limit }: HoldQuery,
  after: Position | undefined,
): Promise<HoldRow[]> {
  const { rows } = await client.query<HoldRow>(
    `SELECT ${COLUMNS} FROM holds.hold WHERE tenant = $1 ${status ? STATUS[status] : ''}
       AND ($2::timestamptz IS NULL OR (holds.hold.placed_at, id) < ($2::timestamptz, $3::uuid))
     ORDER BY holds.hold.placed_at DESC, id DESC LIMIT $4`,
    [tenant, after?.at ?? null, after?.id ?? null, limit + 1],
  )
  return rows
}
