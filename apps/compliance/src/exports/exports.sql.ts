import type { ClientBase, Pool } from 'pg'
import type { Position } from '../page.js'
import type { Sought } from '../trail/query.js'
import type { ExportFormat, FileName } from './export.js'

type Queryable = Pick<ClientBase | Pool, 'query'>

export interface ExportRow {
  id: string
  tenant: string
  format: ExportFormat
  filters: Sought
  status: 'queued' | 'running' | 'completed' | 'failed' | 'deleted' | 'expired'
  job_id: string
  attempt: number
  checkpoint: string | null
  as_of: string | null
  entries_total: string | null
  entries_done: string
  failure: string | null
  /** With microseconds, as lists page by it. */
  created_at: string
  finished_at: Date | null
  expires_at: Date
  is_expired: boolean
}

const COLUMNS = `id, tenant, format, filters, status, job_id, attempt, checkpoint, as_of::text, entries_total, entries_done,
  failure, to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS created_at, finished_at,
  expires_at, expires_at <= clock_timestamp() AS is_expired`

/** An encrypted piece of one of the files of an export. */
export interface Part {
  file: FileName
  n: number
  name: string
  bytes: number
  lastIndex: number | null
  entries: number
}

type NewRow = Pick<ExportRow, 'id' | 'tenant' | 'format' | 'filters' | 'job_id'>

export async function insertExport(client: Queryable, row: NewRow, hours: number): Promise<void> {
  await client.query(
    `INSERT INTO exports.export (id, tenant, format, filters, job_id, expires_at)
     VALUES ($1, $2, $3, $4, $5, clock_timestamp() + make_interval(hours => $6))`,
    [row.id, row.tenant, row.format, JSON.stringify(row.filters), row.job_id, hours],
  )
}

/** An export that the tenant may still see. */
export async function findExport(
  client: Queryable,
  tenant: string,
  id: string,
): Promise<ExportRow | undefined> {
  const { rows } = await client.query<ExportRow>(
    `SELECT ${COLUMNS} FROM exports.export WHERE id = $1 AND tenant = $2 AND status <> 'deleted'`,
    [id, tenant],
  )
  return rows[0]
}

export async function listExports(
  client: Queryable,
  tenant: string,
  limit: number,
  after: Position | undefined,
): Promise<ExportRow[]> {
  const { rows } = await client.query<ExportRow>(
    `SELECT ${COLUMNS} FROM exports.export WHERE tenant = $1 AND status <> 'deleted'
       AND ($2::timestamptz IS NULL OR (exports.export.created_at, id) < ($2::timestamptz, $3::uuid))
     ORDER BY exports.export.created_at DESC, id DESC LIMIT $4`,
    [tenant, after?.at ?? null, after?.id ?? null, limit + 1],
  )
  return rows
}

/** Begins a run; undefined where there is nothing left to do. A later run overtakes an earlier one. */
export async function beginRun(client: Queryable, id: string): Promise<ExportRow | undefined> {
  const { rows } = await client.query<ExportRow>(
    `UPDATE exports.export SET status = 'running', attempt = attempt + 1
     WHERE id = $1 AND status IN ('queued', 'running') AND expires_at > clock_timestamp() RETURNING ${COLUMNS}`,
    [id],
  )
  return rows[0]
}

/** The run is no longer the one that counts: the export was deleted, or another worker took over. */
export class OvertakenError extends Error {
  override readonly name = 'OvertakenError'
}

/** Writes to a run's export as long as it is the run that counts; else throws OvertakenError. */
async function update(client: Queryable, { id, attempt }: ExportRow, set: string, values: unknown[]) {
  const { rowCount } = await client.query(
    `UPDATE exports.export SET ${set} WHERE id = $1 AND attempt = $2 AND status = 'running'`,
    [id, attempt, ...values],
  )
  if (rowCount !== 1) throw new OvertakenError()
}

/** Fixes what the export is proved against; later runs go by the same. */
export const fixCheckpoint = (client: Queryable, row: ExportRow, checkpoint: string): Promise<void> =>
  update(client, row, 'checkpoint = $3, as_of = clock_timestamp()', [checkpoint])

export const setTotal = (client: Queryable, row: ExportRow, total: number): Promise<void> =>
  update(client, row, 'entries_total = $3', [total])

/** Records parts that are on the disk, and how far the export is. */
export async function insertParts(
  client: Queryable,
  row: ExportRow,
  parts: Part[],
  done: number,
): Promise<void> {
  await update(client, row, 'entries_done = $3', [done])
  for (const { file, n, name, bytes, lastIndex, entries } of parts) {
    await client.query(
      `INSERT INTO exports.part (export_id, file, n, name, bytes, last_index, entries) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
      [row.id, file, n, name, bytes, lastIndex, entries],
    )
  }
}

export async function complete(
  client: Queryable,
  row: ExportRow,
  digests: Partial<Record<FileName, Buffer>>,
): Promise<void> {
  await update(client, row, `status = 'completed', finished_at = clock_timestamp()`, [])
  for (const [file, sha256] of Object.entries(digests)) {
    await client.query('INSERT INTO exports.digest (export_id, file, sha256) VALUES ($1, $2, $3)', [
      ...[row.id, file, sha256],
    ])
  }
}

export const fail = (client: Queryable, row: ExportRow, code: string): Promise<void> =>
  update(client, row, `status = 'failed', finished_at = clock_timestamp(), failure = $3`, [code])

interface PartRow extends Omit<Part, 'bytes' | 'lastIndex'> {
  bytes: string
  last_index: string | null
}

export async function partsOf(client: Queryable, id: string, file: FileName): Promise<Part[]> {
  const { rows } = await client.query<PartRow>(
    'SELECT file, n, name, bytes, last_index, entries FROM exports.part WHERE export_id = $1 AND file = $2 ORDER BY n',
    [id, file],
  )
  return rows.map(({ last_index, bytes, ...part }) => ({
    ...part,
    bytes: Number(bytes),
    lastIndex: last_index === null ? null : Number(last_index),
  }))
}

export interface WholeFile {
  file: FileName
  sha256: Buffer
  bytes: number
}

/** The finished files of an export. */
export async function filesOf(client: Queryable, id: string): Promise<WholeFile[]> {
  const { rows } = await client.query<{ file: FileName; sha256: Buffer; bytes: string }>(
    `SELECT d.file, d.sha256, sum(p.bytes)::bigint AS bytes FROM exports.digest d
     JOIN exports.part p ON p.export_id = d.export_id AND p.file = d.file WHERE d.export_id = $1 GROUP BY d.file, d.sha256`,
    [id],
  )
  return rows.map((row) => ({ ...row, bytes: Number(row.bytes) }))
}

/** Takes an export away; its files are removed afterwards. */
export async function retire(client: Queryable, id: string, to: 'deleted' | 'expired'): Promise<void> {
  await client.query(
    `UPDATE exports.export SET status = $2, failure = NULL WHERE id = $1 AND status NOT IN ('deleted', 'expired')`,
    [id, to],
  )
  await client.query('DELETE FROM exports.part WHERE export_id = $1', [id])
}

export async function expiredExports(client: Queryable): Promise<string[]> {
  const { rows } = await client.query<{ id: string }>(
    `SELECT id FROM exports.export WHERE expires_at <= clock_timestamp() AND status NOT IN ('deleted', 'expired') LIMIT 100`,
  )
  return rows.map(({ id }) => id)
}

/** Exports that should be under way: their jobs may be lost. */
export async function unfinishedExports(client: Queryable): Promise<{ id: string; job_id: string }[]> {
  const { rows } = await client.query<{ id: string; job_id: string }>(
    `SELECT id, job_id FROM exports.export WHERE status IN ('queued', 'running')
       AND created_at < clock_timestamp() - interval '10 seconds' LIMIT 100`,
  )
  return rows
}

/** Gives an unfinished export a new job in place of a lost one; false where it moved on meanwhile. */
export async function replaceJob(
  client: Queryable,
  { id, job_id }: { id: string; job_id: string },
  job: string,
) {
  const { rowCount } = await client.query(
    `UPDATE exports.export SET job_id = $3 WHERE id = $1 AND job_id = $2 AND status IN ('queued', 'running')`,
    [id, job_id, job],
  )
  return rowCount === 1
}
