import { randomBytes } from 'node:crypto'
import { NotAuthenticError, XAES_NONCE_LENGTH, xaesOpen, xaesSeal } from './xaes.js'

/** The one place where a sealed field belongs: moved anywhere else, it does not open. */
export interface FieldPlace {
  tenant: string
  table: string
  column: string
  row: string
}

/** A data key in use; `id` names it in what it seals. */
export interface DataKey {
  id: string
  key: Uint8Array
}

const VERSION = 1
const KEY_ID_LENGTH = 16
const HEADER_LENGTH = 1 + KEY_ID_LENGTH + XAES_NONCE_LENGTH

const uuidBytes = (id: string): Buffer => Buffer.from(id.replaceAll('-', ''), 'hex')

/** Each part with its length before it, so that no two places have the same bytes. */
function additionalData(place: FieldPlace, keyId: Uint8Array): Buffer {
  const parts = [place.tenant, place.table, place.column, place.row].map((part) => Buffer.from(part, 'utf8'))
  const framed = [...parts, keyId, Uint8Array.of(VERSION)].flatMap((part) => {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(part.length)
    return [length, part]
  })
  return Buffer.concat(framed)
}

/** Seals a field: version (1 byte) || key id (16) || nonce (24) || XAES-256-GCM ciphertext and tag. */
export function sealField({ id, key }: DataKey, place: FieldPlace, plaintext: Uint8Array): Buffer {
  const keyId = uuidBytes(id)
  const nonce = randomBytes(XAES_NONCE_LENGTH)
  return Buffer.concat([
    Uint8Array.of(VERSION),
    keyId,
    nonce,
    xaesSeal(key, nonce, plaintext, additionalData(place, keyId)),
  ])
}

/** The UUID of the data key that a sealed field names; throws NotAuthenticError where it is no sealed field. */
export function keyIdOf(sealed: Uint8Array): string {
  if (sealed.length < HEADER_LENGTH || sealed[0] !== VERSION) throw new NotAuthenticError()
  const hex = Buffer.from(sealed.subarray(1, 1 + KEY_ID_LENGTH)).toString('hex')
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

/** Opens a sealed field at its place; throws NotAuthenticError when anything of it, the place or the key differs. */
export function openField({ id, key }: DataKey, place: FieldPlace, sealed: Uint8Array): Buffer {
  if (keyIdOf(sealed) !== id) throw new NotAuthenticError()
  const nonce = sealed.subarray(1 + KEY_ID_LENGTH, HEADER_LENGTH)
  return xaesOpen(key, nonce, sealed.subarray(HEADER_LENGTH), additionalData(place, uuidBytes(id)))
}
