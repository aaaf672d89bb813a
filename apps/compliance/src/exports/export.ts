import { z } from 'zod'
import { EntryFilters } from '../trail/query.js'

export const EXPORT_FORMATS = ['ndjson', 'csv', 'fhir'] as const
export type ExportFormat = (typeof EXPORT_FORMATS)[number]

export const NewExport = z
  .strictObject({
    format: z.enum(EXPORT_FORMATS),
    /** What to export; everything of the tenant where nothing is given. */
    filters: EntryFilters.default({}),
  })
  .meta({ id: 'NewAuditExport' })
export type NewExport = z.infer<typeof NewExport>

const File = z.strictObject({
  url: z.string(),
  media_type: z.string(),
  bytes: z.int(),
  sha256: z.string(),
})

export const Export = z
  .strictObject({
    id: z.uuid(),
    format: z.enum(EXPORT_FORMATS),
    /** The patient appears as a keyed hash. */
    filters: z.record(z.string(), z.string()),
    status: z.enum(['queued', 'running', 'completed', 'failed', 'expired']),
    status_url: z.string(),
    entries: z.strictObject({ done: z.int(), total: z.int().nullable() }),
    /** Number of entries in the log that the export was made of, and is proved against. */
    log_size: z.int().optional(),
    created_at: z.iso.datetime(),
    finished_at: z.iso.datetime().optional(),
    /** From then on it cannot be read any more. */
    expires_at: z.iso.datetime(),
    content: File.optional(),
    /** Checkpoint, entries and proofs beside a CSV or FHIR file. */
    proofs: File.optional(),
    failure: z.strictObject({ code: z.string() }).optional(),
  })
  .meta({ id: 'AuditExport' })
export type Export = z.infer<typeof Export>

export const ExportPage = z
  .strictObject({ exports: z.array(Export), next_cursor: z.string().nullable() })
  .meta({ id: 'AuditExportPage' })
export type ExportPage = z.infer<typeof ExportPage>

export const ExportPageQuery = z
  .strictObject({
    cursor: z.string().max(256).optional(),
    limit: z.coerce.number().int().min(1).max(200).default(50),
  })
  .meta({ id: 'AuditExportPageQuery' })
export type ExportPageQuery = z.infer<typeof ExportPageQuery>

export type FileName = 'content' | 'proofs'

/** Media type of each file of each format; the proofs of all are an export of the trail without the readable part. */
export const mediaTypeOf = (format: ExportFormat, file: FileName): string =>
  file === 'proofs' || format === 'ndjson'
    ? 'application/x-ndjson'
    : { csv: 'text/csv; charset=utf-8; header=present', fhir: 'application/fhir+json' }[format]
