import type { PoolClient } from 'pg'
import { z } from 'zod'
import { appendAudit, openDetails, type PurposeOfUse } from '#libs/audit'
import type { Principal } from '#libs/auth'
import { KeyDestroyedError } from '#libs/crypto'
import { correlation, inTransaction, isUuid, problems } from '#libs/platform'
import type { Compliance } from '../compliance.js'
import { entryStatement } from './entries.sql.js'
import { type EntryRow, type TrailEntry, toTrailEntry } from './entry.js'

/**
 * What was sealed in an entry; `erased` where the person's keys were destroyed, `elsewhere` where another service
 * sealed it for its own review.
 */
export const OpenedDetails = z
  .strictObject({
    entry: z.uuid(),
    status: z.enum(['opened', 'erased', 'elsewhere', 'none']),
    details: z.record(z.string(), z.string()).optional(),
    purpose_of_use: z.string(),
    audit_entry_id: z.uuid(),
  })
  .meta({ id: 'OpenedDetails' })
export type OpenedDetails = z.infer<typeof OpenedDetails>

const missing = () => problems.notFound({ detail: 'There is no such entry' })

/**
 * Opens the sealed details of an entry for a purpose. Who opened them stands in the log before this resolves, also
 * where there is nothing (any more) to be read.
 */
export async function openEntry(
  compliance: Compliance,
  caller: Principal,
  id: string,
  purpose: PurposeOfUse,
): Promise<OpenedDetails> {
  if (!isUuid(id)) throw missing()
  return inTransaction(compliance.pool, async (client) => {
    const { rows } = await client.query<EntryRow>(entryStatement(caller.tenant, id))
    if (!rows[0]) throw missing()
    const entry = toTrailEntry(rows[0])
    const { status, details } = await open(client, compliance, entry)
    const auditEntryId = await appendAudit(client, {
      tenant: caller.tenant,
      service: 'compliance',
      actor: caller.actor(),
      action: 'AUDIT_OPENED',
      outcome: details ? 'success' : 'denied',
      ...(entry.patient_ref ? { patientRef: entry.patient_ref } : {}),
      correlationId: correlation().correlationId,
      purposeOfUse: purpose,
      details: { entry: id, status },
    })
    return {
      ...{ entry: id, status },
      ...(details ? { details } : {}),
      ...{ purpose_of_use: purpose, audit_entry_id: auditEntryId },
    }
  })
}

async function open(
  client: PoolClient,
  { keyring }: Compliance,
  { sealed, ...entry }: TrailEntry,
): Promise<Pick<OpenedDetails, 'status' | 'details'>> {
  if (!sealed) return { status: 'none' }
  try {
    const details = await openDetails(client, keyring, { ...entry, sealed })
    return details ? { status: 'opened', details } : { status: 'elsewhere' }
  } catch (error) {
    if (error instanceof KeyDestroyedError) return { status: 'erased' }
    throw error
  }
}
