import { createHmac, timingSafeEqual } from 'node:crypto'
import { memo } from './memo.js'

/** Keys of a project: held apart from what is de-identified with them (45 CFR 164.514(c)). */
export interface DeidentificationKeys {
  uid: Uint8Array
  patient: Uint8Array
  date: Uint8Array
}

/** The images of one study share most of what is derived: the last answers under some keys are not made again. */
function perKeys<Value>(derive: (keys: DeidentificationKeys, text: string) => Value, most: number) {
  const known = new WeakMap<DeidentificationKeys, (text: string) => Value>()
  return (keys: DeidentificationKeys, text: string): Value => {
    const found = known.get(keys)
    if (found) return found(text)
    const answer = memo((value: string) => derive(keys, value), most)
    known.set(keys, answer)
    return answer(text)
  }
}

const mac = (key: Uint8Array, text: string | Uint8Array): Buffer =>
  createHmac('sha256', key).update(text).digest()

const UUID_LENGTH = 16
/** Bytes of a derived UID that tell of its source; the other four are a MAC over them. */
const BODY_LENGTH = 12

/** A UUID of version 8 (RFC 9562), from 12 derived bytes and a check that only the key's holder can make. */
function checked(key: Uint8Array, body: Uint8Array): Buffer {
  const bytes = Buffer.alloc(UUID_LENGTH)
  bytes.set(body.subarray(0, BODY_LENGTH))
  bytes[6] = (bytes[6]! & 0x0f) | 0x80
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  mac(key, bytes.subarray(0, BODY_LENGTH)).copy(bytes, BODY_LENGTH, 0, UUID_LENGTH - BODY_LENGTH)
  return bytes
}

const DERIVED = /^2\.25\.([1-9]\d{36,38})$/

/** Whether a UID came out of replaceUid under this key: such a one is not replaced again. */
export function isReplacedUid(keys: DeidentificationKeys, uid: string): boolean {
  const digits = DERIVED.exec(uid)?.[1]
  const hex = digits && BigInt(digits).toString(16)
  if (!hex || hex.length > UUID_LENGTH * 2) return false
  const bytes = Buffer.from(hex.padStart(UUID_LENGTH * 2, '0'), 'hex')
  return timingSafeEqual(bytes, checked(keys.uid, bytes))
}

/**
 * Replacement of a UID: 2.25. and a UUID's integer (PS3.5 B.2), derived by HMAC-SHA-256 from the original under the
 * project's key: the same everywhere and at any time, without a table. Doing it again changes nothing.
 */
export const replaceUid = perKeys(derivedUid, 256)

function derivedUid(keys: DeidentificationKeys, uid: string): string {
  if (isReplacedUid(keys, uid)) return uid
  return `2.25.${BigInt(`0x${checked(keys.uid, mac(keys.uid, uid)).toString('hex')}`)}`
}

const PSEUDONYM = /^V([0-9A-F]{10})([0-9A-F]{5})$/
const checkOf = (keys: DeidentificationKeys, body: string): string =>
  mac(keys.patient, `check ${body}`).toString('hex').slice(0, 5).toUpperCase()

/** Whether a Patient ID is a pseudonym made under this key. */
export function isPseudonym(keys: DeidentificationKeys, patientId: string): boolean {
  const [, body, check] = PSEUDONYM.exec(patientId) ?? []
  return body !== undefined && checkOf(keys, body) === check
}

/** Pseudonym of a patient: the same for the same Patient ID, telling nothing of it without the key. */
export const pseudonym = perKeys((keys, patientId) => {
  if (isPseudonym(keys, patientId)) return patientId
  const body = mac(keys.patient, patientId).toString('hex').slice(0, 10).toUpperCase()
  return `V${body}${checkOf(keys, body)}`
}, 64)

const LONGEST_SHIFT_DAYS = 3650

/** Days to move a patient's dates back: 1 to 3650, the same for all of them, so that intervals stay; 0 once done. */
export const dateShiftDays = perKeys(
  (keys, patientId) =>
    isPseudonym(keys, patientId) ? 0 : 1 + (mac(keys.date, patientId).readUInt32BE(0) % LONGEST_SHIFT_DAYS),
  64,
)
