import type { ClientBase } from 'pg'
import { type FieldPlace, type KeyProvider, openField, purposeKey, sealField } from '#libs/crypto'

/** Where a reason stands: a table of this service and the id of its row. */
interface Place {
  tenant: string
  table: 'approvals.request' | 'holds.hold'
  row: string
}

const fieldOf = (place: Place): FieldPlace => ({ ...place, column: 'reason' })
const keyOf = (client: ClientBase, keys: KeyProvider, tenant: string) =>
  purposeKey(client, keys, { tenant, purpose: 'reasons' })

/** Seals a reason under the tenant's key: people write names into reasons, whatever they are told. */
export async function sealReason(
  client: ClientBase,
  keys: KeyProvider,
  place: Place,
  reason: string,
): Promise<Buffer> {
  return sealField(await keyOf(client, keys, place.tenant), fieldOf(place), Buffer.from(reason, 'utf8'))
}

export async function openReason(
  client: ClientBase,
  keys: KeyProvider,
  place: Place,
  sealed: Buffer,
): Promise<string> {
  return openField(await keyOf(client, keys, place.tenant), fieldOf(place), sealed).toString('utf8')
}
