import type { PoolClient } from 'pg'
import { parseCheckpoint, parseNote } from '#libs/audit'
import { type Export, mediaTypeOf } from './export.js'
import { type ExportRow, filesOf } from './exports.sql.js'

/** How an export stands, for those who may read it. */
export async function exportView(client: PoolClient, row: ExportRow): Promise<Export> {
  const { id, format, filters, failure } = row
  const url = `/api/v1/audit/exports/${id}`
  const status = row.is_expired || row.status === 'deleted' ? 'expired' : row.status
  const files = status === 'completed' ? await filesOf(client, id) : []
  const { patientRef, ...named } = filters
  return {
    ...{ id, format, status, status_url: url },
    filters: { ...named, ...(patientRef ? { patient_ref: patientRef } : {}) },
    entries: {
      done: Number(row.entries_done),
      total: row.entries_total === null ? null : Number(row.entries_total),
    },
    ...(row.checkpoint ? { log_size: parseCheckpoint(parseNote(row.checkpoint).text).size } : {}),
    created_at: row.created_at,
    ...(row.finished_at ? { finished_at: row.finished_at.toISOString() } : {}),
    expires_at: row.expires_at.toISOString(),
    ...Object.fromEntries(
      files.map(({ file, bytes, sha256 }) => [
        file,
        {
          url: `${url}/${file}`,
          media_type: mediaTypeOf(format, file),
          bytes,
          sha256: sha256.toString('hex'),
        },
      ]),
    ),
    ...(failure ? { failure: { code: failure } } : {}),
  }
}
