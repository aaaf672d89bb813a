import type { ClientBase } from 'pg'
import {
  type DataKey,
  dataKeyFor,
  existingDataKey,
  type FieldPlace,
  type KeyProvider,
  keyIdOf,
  openField,
  sealField,
} from '#libs/crypto'

/** Whose an entry is, and which: what is sealed in it opens in no other. */
interface Sealing {
  tenant: string
  /** Keyed hash of the patient: with this patient's keys, the details go. */
  patientRef: string
  entryId: string
}

const placeOf = ({ tenant, entryId }: Pick<Sealing, 'tenant' | 'entryId'>): FieldPlace => ({
  tenant,
  table: 'audit.entry',
  column: 'sealed',
  row: entryId,
})

/**
 * Seals details that identify a person for the `sealed` member of an entry (base64), in the caller's transaction. The
 * log commits to the ciphertext: destroying the key erases what it says and breaks no proof. Rejects with
 * KeyDestroyedError for a patient who was erased.
 */
export async function sealDetails(
  client: ClientBase,
  keys: KeyProvider,
  sealing: Sealing,
  details: Record<string, string>,
): Promise<string> {
  const { tenant, patientRef: subject } = sealing
  const key = await dataKeyFor(client, keys, { tenant, purpose: 'audit', subject })
  return sealField(key, placeOf(sealing), Buffer.from(JSON.stringify(details), 'utf8')).toString('base64')
}

interface SealedEntry {
  id: string
  tenant: string
  sealed: string
}

/** The key of this name; undefined where this service has no part in what it is for. */
async function keyNamed(
  client: ClientBase,
  keys: KeyProvider,
  tenant: string,
  id: string,
): Promise<DataKey | undefined> {
  const { rows } = await client.query<{ purpose: string; subject: string }>(
    'SELECT purpose, subject FROM keys.data_key WHERE id = $1 AND tenant = $2',
    [id, tenant],
  )
  return rows[0] && existingDataKey(client, keys, { tenant, ...rows[0] })
}

/**
 * Opens what is sealed in an entry; undefined where it is sealed under a key of another service (an emergency's
 * explanation). Rejects with KeyDestroyedError after an erasure, with NotAuthenticError where it was altered or stems
 * from another entry. Who opens it has been recorded by the caller.
 */
export async function openDetails(
  client: ClientBase,
  keys: KeyProvider,
  { id, tenant, sealed }: SealedEntry,
): Promise<Record<string, string> | undefined> {
  const bytes = Buffer.from(sealed, 'base64')
  const key = await keyNamed(client, keys, tenant, keyIdOf(bytes))
  return key && JSON.parse(openField(key, placeOf({ tenant, entryId: id }), bytes).toString('utf8'))
}
