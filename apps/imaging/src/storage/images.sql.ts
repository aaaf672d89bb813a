import type { ClientBase, Pool } from 'pg'
import type { Blob, BlobKind } from './blob-store.js'

type Queryable = Pick<ClientBase | Pool, 'query'>

export type ImageStatus = 'queued' | 'processing' | 'completed' | 'failed' | 'quarantined'
export type StepName = 'deidentify' | 'decode' | 'analyse' | 'associate'
export type StepStatus = 'running' | 'done' | 'failed' | 'skipped'
export const STEP_NAMES: readonly StepName[] = ['deidentify', 'decode', 'analyse', 'associate']

/** An image as the pipeline and the results see it. */
export interface ImageRow {
  correlationId: string
  tenant: string
  clientId: string
  modality: string
  patientRef: string
  status: ImageStatus
  jobId: string
  attempt: number
  original: string
  deidentified: string | null
  deidentification: unknown
  result: unknown
  failure: string | null
  receivedAt: Date
  finishedAt: Date | null
}

const COLUMNS = `correlation_id AS "correlationId", tenant, client_id AS "clientId", modality,
  patient_ref AS "patientRef", status, job_id AS "jobId", attempt, original, deidentified, deidentification, result,
  failure, received_at AS "receivedAt", finished_at AS "finishedAt"`

export async function insertBlob(client: Queryable, blob: Blob): Promise<void> {
  await client.query(
    'INSERT INTO imaging.blob (id, tenant, kind, wrapped_key, bytes, sha256) VALUES ($1, $2, $3, $4, $5, $6)',
    [blob.id, blob.tenant, blob.kind, blob.wrappedKey, blob.bytes, blob.sha256],
  )
}

export async function findBlob(client: Queryable, id: string, tenant: string): Promise<Blob | undefined> {
  const { rows } = await client.query(
    `SELECT kind, wrapped_key, bytes, sha256 FROM imaging.blob
     WHERE id = $1 AND tenant = $2 AND wrapped_key IS NOT NULL`,
    [id, tenant],
  )
  const [row] = rows
  return (
    row && {
      id,
      tenant,
      kind: row.kind as BlobKind,
      wrappedKey: row.wrapped_key,
      bytes: Number(row.bytes),
      sha256: row.sha256,
    }
  )
}

/** Which of these ids name blobs that are referred to and can be read: one whose key was destroyed is garbage. */
export async function knownBlobs(client: Queryable, ids: string[]): Promise<Set<string>> {
  if (ids.length === 0) return new Set()
  const { rows } = await client.query(
    'SELECT id FROM imaging.blob WHERE id = ANY($1) AND wrapped_key IS NOT NULL',
    [ids],
  )
  return new Set(rows.map((row) => row.id))
}

type NewImage = Pick<
  ImageRow,
  'correlationId' | 'tenant' | 'clientId' | 'modality' | 'patientRef' | 'jobId' | 'original'
>

export async function insertImage(client: Queryable, image: NewImage): Promise<void> {
  await client.query(
    `INSERT INTO imaging.image (correlation_id, tenant, client_id, modality, patient_ref, job_id, original)
     VALUES ($1, $2, $3, $4, $5, $6, $7)`,
    [
      image.correlationId,
      image.tenant,
      image.clientId,
      image.modality,
      image.patientRef,
      image.jobId,
      image.original,
    ],
  )
}

export async function findImage(
  client: Queryable,
  correlationId: string,
  tenant: string,
): Promise<ImageRow | undefined> {
  const { rows } = await client.query<ImageRow>(
    `SELECT ${COLUMNS} FROM imaging.image WHERE correlation_id = $1 AND tenant = $2`,
    [correlationId, tenant],
  )
  return rows[0]
}

/** Begins a run: counts it and gives it the image; undefined when there is nothing left to do. */
export async function beginRun(client: Queryable, correlationId: string): Promise<ImageRow | undefined> {
  const { rows } = await client.query<ImageRow>(
    `UPDATE imaging.image SET status = 'processing', attempt = attempt + 1, progressed_at = clock_timestamp()
     WHERE correlation_id = $1 AND status IN ('queued', 'processing') RETURNING ${COLUMNS}`,
    [correlationId],
  )
  return rows[0]
}

/** A run that was overtaken by a later one: it must not write any more. */
export class OvertakenError extends Error {
  override readonly name = 'OvertakenError'
}

/** Holds the image's row for the rest of the transaction, if this run is still the one that counts. */
export async function fence(client: Queryable, { correlationId, attempt }: Run): Promise<void> {
  const { rowCount } = await client.query(
    `UPDATE imaging.image SET progressed_at = clock_timestamp()
     WHERE correlation_id = $1 AND attempt = $2 AND status = 'processing'`,
    [correlationId, attempt],
  )
  if (rowCount !== 1) throw new OvertakenError()
}
export type Run = Pick<ImageRow, 'correlationId' | 'attempt'>

export async function recordStep(
  client: Queryable,
  { correlationId, attempt }: Run,
  step: { name: StepName; status: StepStatus; startedAt: Date; durationMs?: number },
): Promise<void> {
  await client.query(
    `INSERT INTO imaging.step AS s (correlation_id, name, ordinal, status, attempt, started_at, duration_ms)
     VALUES ($1, $2, $3, $4, $5, $6, $7)
     ON CONFLICT (correlation_id, name) DO UPDATE SET status = EXCLUDED.status, attempt = EXCLUDED.attempt,
       started_at = EXCLUDED.started_at, duration_ms = EXCLUDED.duration_ms WHERE s.attempt <= EXCLUDED.attempt`,
    [
      correlationId,
      step.name,
      STEP_NAMES.indexOf(step.name),
      step.status,
      attempt,
      step.startedAt,
      step.durationMs ?? null,
    ],
  )
}

export interface StepRow {
  name: StepName
  status: StepStatus
  attempt: number
  startedAt: Date
  durationMs: number | null
}

export async function stepsOf(client: Queryable, correlationId: string): Promise<StepRow[]> {
  const { rows } = await client.query<StepRow>(
    `SELECT name, status, attempt, started_at AS "startedAt", duration_ms AS "durationMs"
     FROM imaging.step WHERE correlation_id = $1 ORDER BY ordinal`,
    [correlationId],
  )
  return rows
}

export async function keepDeidentified(
  client: Queryable,
  { correlationId }: Run,
  blob: Blob,
  summary: object,
): Promise<void> {
  await insertBlob(client, blob)
  await client.query(
    'UPDATE imaging.image SET deidentified = $2, deidentification = $3 WHERE correlation_id = $1',
    [correlationId, blob.id, summary],
  )
}

export type Ending =
  | { status: 'completed'; result: object }
  | { status: 'failed' | 'quarantined'; failure: string; deidentification?: object }

/** The image's final state. */
export async function endImage(client: Queryable, correlationId: string, ending: Ending): Promise<void> {
  const completed = ending.status === 'completed'
  await client.query(
    `UPDATE imaging.image SET status = $2, result = $3, failure = $4,
       deidentification = coalesce($5, deidentification),
       progressed_at = clock_timestamp(), finished_at = clock_timestamp() WHERE correlation_id = $1`,
    [
      correlationId,
      ending.status,
      completed ? ending.result : null,
      completed ? null : ending.failure,
      completed ? null : (ending.deidentification ?? null),
    ],
  )
}

/** Unfinished images that nobody worked on for `seconds`. */
export async function stalledImages(client: Queryable, seconds: number, limit: number): Promise<ImageRow[]> {
  const { rows } = await client.query<ImageRow>(
    `SELECT ${COLUMNS} FROM imaging.image WHERE status IN ('queued', 'processing')
       AND progressed_at < clock_timestamp() - make_interval(secs => $1)
     ORDER BY progressed_at LIMIT $2`,
    [seconds, limit],
  )
  return rows
}

/** Gives an unfinished image another job, unless it moved since it was read. */
export async function replaceJob(client: Queryable, image: ImageRow, jobId: string): Promise<boolean> {
  const { rowCount } = await client.query(
    `UPDATE imaging.image SET job_id = $2, progressed_at = clock_timestamp()
     WHERE correlation_id = $1 AND job_id = $3 AND attempt = $4 AND status IN ('queued', 'processing')`,
    [image.correlationId, jobId, image.jobId, image.attempt],
  )
  return rowCount === 1
}

export async function insertAssociation(
  client: Queryable,
  row: Pick<ImageRow, 'correlationId' | 'tenant' | 'patientRef'> & { identity: Buffer },
): Promise<void> {
  await client.query(
    'INSERT INTO imaging.association (correlation_id, tenant, patient_ref, identity) VALUES ($1, $2, $3, $4)',
    [row.correlationId, row.tenant, row.patientRef, row.identity],
  )
}

export async function keepFinding(client: Queryable, correlationId: string, finding: Buffer): Promise<void> {
  await client.query('UPDATE imaging.association SET finding = $2 WHERE correlation_id = $1', [
    correlationId,
    finding,
  ])
}

export interface AssociationRow {
  patientRef: string
  identity: Buffer
  finding: Buffer | null
}

export async function findAssociation(
  client: Queryable,
  correlationId: string,
  tenant: string,
): Promise<AssociationRow | undefined> {
  const { rows } = await client.query<AssociationRow>(
    `SELECT patient_ref AS "patientRef", identity, finding FROM imaging.association
     WHERE correlation_id = $1 AND tenant = $2`,
    [correlationId, tenant],
  )
  return rows[0]
}
