import type { ClientBase } from 'pg'
import { z } from 'zod'
import {
  type BlindIndex,
  dataKeyFor,
  existingDataKey,
  type FieldPlace,
  type KeyProvider,
  openField,
  type Queryable,
  sealField,
  subjectRef,
} from '#libs/crypto'
import { findAssociation, type ImageRow, insertAssociation, keepFinding } from './images.sql.js'

/** Who stands behind an image, in the sender's terms. */
export const Identity = z.strictObject({ patient_id: z.string(), physician_id: z.string() })
export type Identity = z.infer<typeof Identity>

type Place = Pick<ImageRow, 'correlationId' | 'tenant' | 'patientRef'>

const scopeOf = ({ tenant, patientRef }: Place) => ({ tenant, purpose: 'imaging', subject: patientRef })
const placeOf = ({ tenant, correlationId }: Place, column: 'identity' | 'finding'): FieldPlace => ({
  tenant,
  table: 'imaging.association',
  column,
  row: correlationId,
})
const toBytes = (value: object) => Buffer.from(JSON.stringify(value), 'utf8')

/** Keyed hash of a patient's identifier: the only form in which it may be stored, looked up or logged. */
export const patientRefOf = (
  database: Queryable,
  index: BlindIndex,
  tenant: string,
  patientId: string,
): Promise<string> => subjectRef(database, index, { column: 'patient', tenant, value: patientId })

/** Seals who an image belongs to under the patient's data key, in the caller's transaction. */
export async function associate(
  client: ClientBase,
  keys: KeyProvider,
  place: Place,
  identity: Identity,
): Promise<void> {
  const key = await dataKeyFor(client, keys, scopeOf(place))
  const sealed = sealField(key, placeOf(place, 'identity'), toBytes(identity))
  await insertAssociation(client, { ...place, identity: sealed })
}

/** Seals the patient together with what the model found. */
export async function associateFinding(
  client: ClientBase,
  keys: KeyProvider,
  place: Place,
  finding: object,
): Promise<void> {
  const row = await findAssociation(client, place.correlationId, place.tenant)
  if (!row) throw new Error('An image without an association')
  const key = await existingDataKey(client, keys, scopeOf(place))
  const { patient_id } = openIdentity(key, place, row.identity)
  const content = { patient_id, correlation_id: place.correlationId, ...finding }
  await keepFinding(client, place.correlationId, sealField(key, placeOf(place, 'finding'), toBytes(content)))
}

const openIdentity = (key: { id: string; key: Uint8Array }, place: Place, sealed: Buffer): Identity =>
  Identity.parse(JSON.parse(openField(key, placeOf(place, 'identity'), sealed).toString('utf8')))

/**
 * Opens who an image belongs to; undefined where the tenant has no such image. Rejects with KeyDestroyedError after
 * the patient was erased. The caller has written the audit entry before anything of it leaves.
 */
export async function reidentify(
  client: ClientBase,
  keys: KeyProvider,
  tenant: string,
  correlationId: string,
): Promise<{ identity: Identity; patientRef: string } | undefined> {
  const row = await findAssociation(client, correlationId, tenant)
  if (!row) return undefined
  const place = { correlationId, tenant, patientRef: row.patientRef }
  const key = await existingDataKey(client, keys, scopeOf(place))
  return { identity: openIdentity(key, place, row.identity), patientRef: row.patientRef }
}
