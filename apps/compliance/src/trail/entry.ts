import { z } from 'zod'

/** An audit entry as the trail shows it. `log_index` is null until the sequencer has placed it (about a second). */
export const TrailEntry = z
  .strictObject({
    id: z.uuid(),
    recorded_at: z.iso.datetime({ precision: 6 }),
    log_index: z.int().nullable(),
    tenant: z.string(),
    service: z.string(),
    actor: z.strictObject({ type: z.string(), id: z.string() }),
    action: z.string(),
    outcome: z.string(),
    subject: z.strictObject({ type: z.string(), id: z.string() }).optional(),
    patient_ref: z.string().optional(),
    correlation_id: z.uuid(),
    purpose_of_use: z.string().optional(),
    details: z.record(z.string(), z.json()).optional(),
    sealed: z.string().optional(),
  })
  .meta({ id: 'AuditTrailEntry' })
export type TrailEntry = z.infer<typeof TrailEntry>

/** How many entries match: exactly, or where there are more than are counted, at least so many. */
export const TrailCount = z.strictObject({ value: z.int(), relation: z.enum(['exact', 'at_least']) })
export type TrailCount = z.infer<typeof TrailCount>

export const TrailPage = z
  .strictObject({
    entries: z.array(TrailEntry),
    next_cursor: z.string().nullable(),
    count: TrailCount.optional(),
  })
  .meta({ id: 'AuditTrailPage' })
export type TrailPage = z.infer<typeof TrailPage>

export interface EntryRow {
  id: string
  recorded_at: string
  body: Buffer
  log_index: string | null
}

/** What the stored bytes say, together with their place in the log. */
export function toTrailEntry({ body, recorded_at, log_index }: EntryRow): TrailEntry {
  const { entry } = JSON.parse(body.toString('utf8')) as {
    entry: Omit<TrailEntry, 'recorded_at' | 'log_index'>
  }
  return { ...entry, recorded_at, log_index: log_index === null ? null : Number(log_index) }
}
