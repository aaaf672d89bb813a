import type { ClientBase } from 'pg'
import type { Position } from '../page.js'
import type { ApprovalKind, ApprovalQuery, Person } from './approval.js'

export interface ApprovalRow {
  id: string
  tenant: string
  kind: ApprovalKind
  subject: string
  parameters: Record<string, unknown>
  patient_ref: string | null
  reason: Buffer
  requested_issuer: string
  requested_subject: string
  requested_client: string
  /** With microseconds, as lists page by it. */
  requested_at: string
  expires_at: Date
  is_expired: boolean
  decision: 'approved' | 'rejected' | null
  decided_issuer: string | null
  decided_subject: string | null
  decided_client: string | null
  decided_at: Date | null
  consumed_at: Date | null
}

const COLUMNS = `id, tenant, kind, subject, parameters, patient_ref, reason, requested_issuer, requested_subject,
  requested_client, to_char(requested_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS requested_at,
  expires_at, expires_at <= clock_timestamp() AS is_expired, decision, decided_issuer, decided_subject,
  decided_client, decided_at, consumed_at`

interface NewApproval {
  id: string
  tenant: string
  kind: ApprovalKind
  subject: string
  parameters: object
  patientRef?: string
  reason: Buffer
  person: Person
  validHours: number
}

/** Stores a request; false where the same act is asked for already. */
export async function insertApproval(client: ClientBase, asked: NewApproval): Promise<boolean> {
  const { id, tenant, kind, subject, parameters, patientRef, reason, person, validHours } = asked
  await client.query('SELECT approvals.close_expired($1, $2, $3)', [tenant, kind, subject])
  const { rowCount } = await client.query(
    `INSERT INTO approvals.request (id, tenant, kind, subject, parameters, patient_ref, reason, requested_issuer,
       requested_subject, requested_client, expires_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, clock_timestamp() + make_interval(hours => $11))
     ON CONFLICT (tenant, kind, subject) WHERE decision IS NULL DO NOTHING`,
    [
      ...[id, tenant, kind, subject, JSON.stringify(parameters), patientRef ?? null, reason],
      ...[person.issuer, person.subject, person.client_id, validHours],
    ],
  )
  return rowCount === 1
}

export async function findApproval(
  client: ClientBase,
  tenant: string,
  id: string,
): Promise<ApprovalRow | undefined> {
  const { rows } = await client.query<ApprovalRow>(
    `SELECT ${COLUMNS} FROM approvals.request WHERE tenant = $1 AND id = $2`,
    [tenant, id],
  )
  return rows[0]
}

/** The request for an act that waits for a decision. */
export async function openApproval(
  client: ClientBase,
  tenant: string,
  kind: ApprovalKind,
  subject: string,
): Promise<ApprovalRow | undefined> {
  const { rows } = await client.query<ApprovalRow>(
    `SELECT ${COLUMNS} FROM approvals.request
     WHERE tenant = $1 AND kind = $2 AND subject = $3 ${STATUS.pending}`,
    [tenant, kind, subject],
  )
  return rows[0]
}

const STATUS = {
  pending: 'AND decision IS NULL AND expires_at > clock_timestamp()',
  decided: 'AND decision IS NOT NULL',
}

/** Requests of a tenant, newest first, one more than the limit to tell of a next page. */
export async function listApprovals(
  client: ClientBase,
  tenant: string,
  { status, limit }: ApprovalQuery,
  after: Position | undefined,
): Promise<ApprovalRow[]> {
  const { rows } = await client.query<ApprovalRow>(
    `SELECT ${COLUMNS} FROM approvals.request WHERE tenant = $1 ${status ? STATUS[status] : ''}
       AND ($2::timestamptz IS NULL OR (approvals.request.requested_at, id) < ($2::timestamptz, $3::uuid))
     ORDER BY approvals.request.requested_at DESC, id DESC LIMIT $4`,
    [tenant, after?.at ?? null, after?.id ?? null, limit + 1],
  )
  return rows
}

export type Verdict = 'approved' | 'rejected'
export type Decision = Verdict | 'missing' | 'same_person' | 'expired' | 'decided'

/** Decides a request; that the persons differ is the database's to say. */
export async function decideApproval(
  client: ClientBase,
  { tenant, id }: { tenant: string; id: string },
  verdict: Verdict,
  person: Person,
): Promise<Decision> {
  const { rows } = await client.query<{ decision: Decision }>(
    'SELECT approvals.decide($1, $2, $3, $4, $5, $6) AS decision',
    [id, tenant, verdict, person.issuer, person.subject, person.client_id],
  )
  return rows[0]!.decision
}
