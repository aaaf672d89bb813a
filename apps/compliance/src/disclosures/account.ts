import type { PoolClient } from 'pg'
import { appendAudit, openDetails, type PurposeOfUse, sealDetails } from '#libs/audit'
import type { Principal } from '#libs/auth'
import { KeyDestroyedError } from '#libs/crypto'
import { correlation, inTransaction, newId, problems } from '#libs/platform'
import type { Compliance } from '../compliance.js'
import { patientRefOf } from '../patient-ref.js'
import { type EntryRow, type TrailEntry, toTrailEntry } from '../trail/entry.js'
import {
  type Accounting,
  type AccountingQuery,
  type Disclosure,
  divide,
  type NewDisclosure,
  PURPOSE_TEXTS,
  type RecordedDisclosure,
} from './disclosure.js'

const LIMIT = 10_000
const DESCRIPTIONS: Readonly<Record<string, string>> = {
  PHI_ACCESS: 'Who the patient behind an image is',
  BREAK_GLASS_READ: 'Who the patient behind an image is, in an emergency',
}

/** When it was, the earlier of what is asked and what the rule covers: six years back from today. */
function periodOf({ from, to }: AccountingQuery, now: Date): { from: Date; to: Date } {
  const earliest = new Date(now)
  earliest.setUTCFullYear(now.getUTCFullYear() - 6)
  const asked = from ? new Date(from) : earliest
  return { from: asked > earliest ? asked : earliest, to: to ? new Date(to) : now }
}

const disclosedAt = ({ details, recorded_at }: TrailEntry): string =>
  typeof details?.disclosed_at === 'string' ? details.disclosed_at : recorded_at

async function disclosuresOf(
  client: PoolClient,
  tenant: string,
  patientRef: string,
  { from, to }: { from: Date; to: Date },
): Promise<{ found: TrailEntry[]; complete: boolean }> {
  // A disclosure may have been recorded long after it was made: the period is of the disclosure.
  const { rows } = await client.query<EntryRow>(
    `SELECT e.id, to_char(e.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS recorded_at, e.body,
       NULL AS log_index
     FROM audit.entry e WHERE e.tenant = $1 AND e.patient_ref = $2 AND e.outcome = 'success'
       AND e.action IN ('PHI_ACCESS', 'BREAK_GLASS_READ', 'PHI_DISCLOSED') AND e.recorded_at >= $3
       AND (e.recorded_at < $4 OR e.action = 'PHI_DISCLOSED')
     ORDER BY e.recorded_at, e.id LIMIT ${LIMIT + 1}`,
    [tenant, patientRef, from, to],
  )
  const found = rows
    .slice(0, LIMIT)
    .map(toTrailEntry)
    .filter((entry) => {
      const at = Date.parse(disclosedAt(entry))
      return at >= from.getTime() && at < to.getTime()
    })
  return { found, complete: rows.length <= LIMIT }
}

interface Opened {
  name?: string
  address?: string
  description?: string
}

/** What is sealed of a recorded disclosure; empty where it may not be opened, or cannot be any more. */
async function open(
  client: PoolClient,
  { keyring }: Compliance,
  entry: TrailEntry,
  mayOpen: boolean,
): Promise<Opened> {
  if (!entry.sealed || !mayOpen) return {}
  try {
    return (await openDetails(client, keyring, { ...entry, sealed: entry.sealed })) ?? {}
  } catch (error) {
    if (error instanceof KeyDestroyedError) return {}
    throw error
  }
}

async function view(
  client: PoolClient,
  compliance: Compliance,
  entry: TrailEntry,
  mayOpen: boolean,
): Promise<Disclosure> {
  const isRecorded = entry.action === 'PHI_DISCLOSED'
  const opened = isRecorded ? await open(client, compliance, entry, mayOpen) : {}
  const code = entry.purpose_of_use ?? 'unknown'
  const subject = entry.subject ? `: ${entry.subject.type} ${entry.subject.id}` : ''
  return {
    date: disclosedAt(entry),
    recipient: {
      name: isRecorded ? (opened.name ?? null) : `${entry.actor.type} ${entry.actor.id}`,
      address: opened.address ?? null,
    },
    description: isRecorded
      ? (opened.description ?? 'sealed')
      : `${DESCRIPTIONS[entry.action] ?? 'Disclosure'}${subject}`,
    purpose: { code, text: PURPOSE_TEXTS[code as PurposeOfUse] ?? 'not stated' },
    audit_entry_id: entry.id,
    correlation_id: entry.correlation_id,
  }
}

/**
 * Accounting of a patient's disclosures. Recipients are opened for whoever has a purpose. Who asked stands in the log
 * before this resolves.
 */
export async function account(
  compliance: Compliance,
  caller: Principal,
  patient: string,
  query: AccountingQuery,
  purpose: PurposeOfUse | undefined,
): Promise<Accounting> {
  const { tenant } = caller
  const patientRef = await patientRefOf(compliance.pool, compliance, tenant, patient)
  const period = periodOf(query, new Date())
  return inTransaction(compliance.pool, async (client) => {
    const { found, complete } = await disclosuresOf(client, tenant, patientRef, period)
    const { accounted, excepted } = divide(
      found.map((entry) => ({ entry, purpose: entry.purpose_of_use ?? 'unknown' })),
    )
    const disclosures: Disclosure[] = []
    for (const { entry } of accounted)
      disclosures.push(await view(client, compliance, entry, purpose !== undefined))
    await appendAudit(client, {
      ...{
        tenant,
        service: 'compliance',
        actor: caller.actor(),
        action: 'DISCLOSURES_REPORTED',
        outcome: 'success',
      },
      ...{ patientRef, correlationId: correlation().correlationId },
      ...(purpose ? { purposeOfUse: purpose } : {}),
      details: { disclosures: disclosures.length, excepted: found.length - disclosures.length },
    })
    return {
      patient_ref: patientRef,
      from: period.from.toISOString(),
      to: period.to.toISOString(),
      ...{ disclosures, excepted, complete },
    }
  })
}

/** Records a disclosure that was made outside: recipient and description sealed under the patient's key. */
export async function recordDisclosure(
  compliance: Compliance,
  caller: Principal,
  patient: string,
  { recipient, description, disclosed_at }: NewDisclosure,
  purpose: PurposeOfUse,
): Promise<RecordedDisclosure> {
  const { tenant } = caller
  const patientRef = await patientRefOf(compliance.pool, compliance, tenant, patient)
  const id = newId()
  const now = new Date()
  if (disclosed_at && Date.parse(disclosed_at) > now.getTime())
    throw problems.invalidRequest({
      detail: 'Not valid: /disclosed_at',
      errors: [{ pointer: '/disclosed_at', detail: 'must not be in the future' }],
    })
  await inTransaction(compliance.pool, async (client) => {
    const sealed = await sealDetails(
      client,
      compliance.keyring,
      { tenant, patientRef, entryId: id },
      { ...recipient, description },
    )
    await appendAudit(client, {
      ...{
        id,
        tenant,
        service: 'compliance',
        actor: caller.actor(),
        action: 'PHI_DISCLOSED',
        outcome: 'success',
      },
      ...{ patientRef, sealed, correlationId: correlation().correlationId, purposeOfUse: purpose },
      details: { disclosed_at: new Date(disclosed_at ?? now).toISOString() },
    })
  }).catch((error) => {
    if (error instanceof KeyDestroyedError)
      throw problems.conflict({
        detail: 'This patient was erased: nothing is recorded under this identifier',
      })
    throw error
  })
  return { audit_entry_id: id, patient_ref: patientRef }
}
