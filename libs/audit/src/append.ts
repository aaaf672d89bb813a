import canonicalize from 'canonicalize'
import type { ClientBase } from 'pg'
import { newId } from '#libs/platform'
import { AuditEntry } from './entry.js'

/** The entry as it stands in the log: snake_case, absent members left out, RFC 8785 canonical. */
function canonicalEntry(id: string, entry: AuditEntry): string {
  const { patientRef, correlationId, purposeOfUse, ...rest } = AuditEntry.parse(entry)
  const body = {
    ...rest,
    id,
    correlation_id: correlationId,
    ...(patientRef === undefined ? {} : { patient_ref: patientRef }),
    ...(purposeOfUse === undefined ? {} : { purpose_of_use: purposeOfUse }),
  }
  return canonicalize(body) as string
}

/** SQL and values that append an entry: for callers who send it together with other statements. */
export function appendStatement(entry: AuditEntry): { id: string; text: string; values: [string, string] } {
  const id = entry.id ?? newId()
  return { id, text: 'SELECT audit.append($1, $2)', values: [id, canonicalEntry(id, entry)] }
}

/**
 * Appends an entry in the caller's open transaction and returns its id (UUIDv7): the act and its entry are
 * committed together or not at all. Rejects when the entry cannot be written: then the act must fail too.
 */
export async function appendAudit(client: ClientBase, entry: AuditEntry): Promise<string> {
  const { id, text, values } = appendStatement(entry)
  await client.query({ name: 'audit-append', text, values })
  return id
}

const APPEND_ALL = `SELECT audit.append_all($1::uuid[], string_to_array($2, E'\\x1e'))`

/** Appends many entries at once, as `appendAudit` does one. */
export async function appendAllAudit(client: ClientBase, entries: readonly AuditEntry[]): Promise<void> {
  const ids = entries.map(({ id }) => id ?? newId())
  // JSON holds no control character: as one text it needs no quoting of all its quotes.
  const bodies = entries.map((entry, at) => canonicalEntry(ids[at]!, entry)).join('\u001e')
  await client.query({ name: 'audit-append-all', text: APPEND_ALL, values: [ids, bodies] })
}
