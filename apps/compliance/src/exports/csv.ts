import type { TrailEntry } from '../trail/entry.js'

const COLUMNS: readonly [name: string, value: (entry: TrailEntry) => unknown][] = [
  ['log_index', (e) => e.log_index],
  ['id', (e) => e.id],
  ['recorded_at', (e) => e.recorded_at],
  ['tenant', (e) => e.tenant],
  ['service', (e) => e.service],
  ['actor_type', (e) => e.actor.type],
  ['actor_id', (e) => e.actor.id],
  ['action', (e) => e.action],
  ['outcome', (e) => e.outcome],
  ['subject_type', (e) => e.subject?.type],
  ['subject_id', (e) => e.subject?.id],
  ['patient_ref', (e) => e.patient_ref],
  ['correlation_id', (e) => e.correlation_id],
  ['purpose_of_use', (e) => e.purpose_of_use],
  ['details', (e) => e.details && JSON.stringify(e.details)],
  ['sealed', (e) => e.sealed],
]

/**
 * A cell after RFC 4180 that no spreadsheet takes for a formula: one that begins like one gets an apostrophe before
 * it (OWASP, CSV Injection), also behind white space, which some programs skip.
 */
export function csvCell(value: unknown): string {
  if (value === undefined || value === null) return ''
  const text = String(value)
  const safe = /^[\s\0]*[=+\-@\uFF1D\uFF0B\uFF0D\uFF20]|^[\t\r\n]/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}

const line = (cells: readonly string[]) => `${cells.join(',')}\r\n`

export const csvHeader = (): string => line(COLUMNS.map(([name]) => name))

/** An entry as one record. */
export const csvRecord = (entry: TrailEntry): string =>
  line(COLUMNS.map(([, value]) => csvCell(value(entry))))
