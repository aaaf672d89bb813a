import type { PoolClient } from 'pg'
import type { z } from 'zod'
import { appendAudit } from '#libs/audit'
import type { Principal } from '#libs/auth'
import { correlation, inTransaction, isUuid, problems } from '#libs/platform'
import type { Compliance } from '../compliance.js'
import { decodePosition, pageOf } from '../page.js'
import { patientRefOf } from '../patient-ref.js'
import { COUNT_LIMIT, countStatement, entriesStatement, entryStatement } from './entries.sql.js'
import { type EntryRow, type TrailCount, type TrailEntry, type TrailPage, toTrailEntry } from './entry.js'
import type { EntryFilters, EntryQuery, Sought, SoughtMany } from './query.js'

/** The patient's keyed hash in place of the patient. */
export async function soughtBy(
  compliance: Compliance,
  tenant: string,
  filters: EntryFilters,
): Promise<Sought> {
  const { patient, ...others } = filters
  if (patient === undefined) return others
  return { ...others, patientRef: await patientRefOf(compliance.pool, compliance, tenant, patient) }
}

type Details = Record<string, z.core.util.JSONType>
export type ReadAction = 'AUDIT_READ' | 'AUDIT_PROVED' | 'AUDIT_EXPORTED' | 'AUDIT_OPENED'

/** Records that somebody looks at the trail, in the transaction of the look: without the entry, nothing is shown. */
export function recordReading(
  client: PoolClient,
  caller: Principal,
  action: ReadAction,
  details: Details,
  patientRef?: string,
): Promise<string> {
  return appendAudit(client, {
    tenant: caller.tenant,
    service: 'compliance',
    actor: caller.actor(),
    action,
    outcome: 'success',
    correlationId: correlation().correlationId,
    ...(patientRef ? { patientRef } : {}),
    details,
  })
}

async function countOf(client: PoolClient, tenant: string, sought: SoughtMany): Promise<TrailCount> {
  const { rows } = await client.query<{ count: number }>(countStatement(tenant, sought))
  const found = rows[0]!.count
  return found > COUNT_LIMIT
    ? { value: COUNT_LIMIT, relation: 'at_least' }
    : { value: found, relation: 'exact' }
}

/** A page of the trail, and the entry that says who looked and for what (the patient by hash alone). */
export async function readPage(
  compliance: Compliance,
  caller: Principal,
  query: EntryQuery,
): Promise<TrailPage> {
  const { order, count, cursor, limit, ...filters } = query
  const sought = await soughtBy(compliance, caller.tenant, filters)
  return readSought(compliance, caller, sought, { order, count, cursor, limit })
}

/** The same for filters whose patient is a keyed hash. */
export async function readSought(
  compliance: Compliance,
  caller: Principal,
  sought: SoughtMany,
  { order, count, cursor, limit }: Pick<EntryQuery, 'order' | 'count' | 'cursor' | 'limit'>,
): Promise<TrailPage> {
  const after = decodePosition(cursor)
  return inTransaction(compliance.pool, async (client) => {
    const { rows } = await client.query<EntryRow>(
      entriesStatement(caller.tenant, sought, { order, limit }, after),
    )
    const { page, next_cursor } = pageOf(rows, limit, (row) => ({ at: row.recorded_at, id: row.id }))
    const { patientRef, ...named } = sought
    const details = { filters: { ...named, order, limit } as Details, results: page.length }
    const counted = count ? { count: await countOf(client, caller.tenant, sought) } : {}
    await recordReading(client, caller, 'AUDIT_READ', details, patientRef)
    return { entries: page.map(toTrailEntry), next_cursor, ...counted }
  })
}

const missing = () => problems.notFound({ detail: 'There is no such entry' })

/** One entry of the tenant, with the entry of who looked; the 404 problem where there is none. */
export async function readEntry(
  compliance: Compliance,
  caller: Principal,
  id: string,
  action: ReadAction,
): Promise<TrailEntry> {
  if (!isUuid(id)) throw missing()
  return inTransaction(compliance.pool, async (client) => {
    const { rows } = await client.query<EntryRow>(entryStatement(caller.tenant, id))
    if (!rows[0]) throw missing()
    const entry = toTrailEntry(rows[0])
    await recordReading(client, caller, action, { entry: id }, entry.patient_ref)
    return entry
  })
}
