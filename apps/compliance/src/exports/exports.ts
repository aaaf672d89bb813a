import { appendAudit } from '#libs/audit'
import type { Principal } from '#libs/auth'
import { correlation, inTransaction, newId, problems } from '#libs/platform'
import type { Compliance } from '../compliance.js'
import { soughtBy } from '../trail/read.js'
import type { Export, FileName, NewExport } from './export.js'
import {
  type ExportRow,
  filesOf,
  findExport,
  insertExport,
  partsOf,
  retire,
  type WholeFile,
} from './exports.sql.js'
import { exportKey } from './run.js'
import { exportView } from './view.js'

const entryOf = (caller: Principal, id: string) => ({
  tenant: caller.tenant,
  service: 'compliance' as const,
  actor: caller.actor(),
  outcome: 'success' as const,
  subject: { type: 'audit-export', id },
  correlationId: correlation().correlationId,
})

/** Asks for an export: its row, its job and the entry of who wanted what commit together or not at all. */
export async function askForExport(
  compliance: Compliance,
  caller: Principal,
  { format, filters }: NewExport,
): Promise<Export> {
  const { pool, exports } = compliance
  const { tenant } = caller
  const id = newId()
  const sought = await soughtBy(compliance, tenant, filters)
  const { traceparent } = correlation()
  const view = await inTransaction(pool, async (client) => {
    const job = await exports.queue.enqueue(client, { subject: id, ...(traceparent ? { traceparent } : {}) })
    await insertExport(client, { id, tenant, format, filters: sought, job_id: job }, exports.hours)
    const { patientRef, ...named } = sought
    await appendAudit(client, {
      ...entryOf(caller, id),
      action: 'AUDIT_EXPORTED',
      ...(patientRef ? { patientRef } : {}),
      details: { format, filters: named },
    })
    return exportView(client, (await findExport(client, tenant, id))!)
  })
  exports.queue.relay()
  return view
}

export interface OpenedFile {
  row: ExportRow
  whole: WholeFile
  bytes: AsyncIterable<Buffer>
}

/** Opens a finished file; who reads it is in the log before the first byte leaves. Undefined where there is none. */
export async function openFile(
  { pool, keyring, exports }: Compliance,
  caller: Principal,
  id: string,
  file: FileName,
): Promise<OpenedFile | undefined> {
  const found = await inTransaction(pool, async (client) => {
    const row = await findExport(client, caller.tenant, id)
    if (!row || row.is_expired) return undefined
    const whole = (await filesOf(client, id)).find((one) => one.file === file)
    if (!whole) {
      if (row.status === 'completed' || row.status === 'expired') return undefined
      throw problems.conflict({ detail: `The export is ${row.status}: there is nothing to read yet` })
    }
    const { patientRef } = row.filters
    await appendAudit(client, {
      ...entryOf(caller, id),
      action: 'AUDIT_EXPORT_DOWNLOADED',
      ...(patientRef ? { patientRef } : {}),
      details: { file, sha256: whole.sha256.toString('hex') },
    })
    return { row, whole, parts: await partsOf(client, id, file) }
  })
  if (!found) return undefined
  const key = await exportKey(pool, keyring, found.row)
  return { ...found, bytes: exports.store.read(key, id, found.parts) }
}

/** Takes an export away; false where there is none. */
export async function deleteExport(
  { pool, exports }: Compliance,
  caller: Principal,
  id: string,
): Promise<boolean> {
  const isFound = await inTransaction(pool, async (client) => {
    const row = await findExport(client, caller.tenant, id)
    if (!row) return false
    await retire(client, id, 'deleted')
    await appendAudit(client, { ...entryOf(caller, id), action: 'AUDIT_EXPORT_DELETED' })
    return true
  })
  if (isFound) await exports.store.remove(id)
  return isFound
}
