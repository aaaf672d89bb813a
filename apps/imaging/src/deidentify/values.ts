import { createHmac } from 'node:crypto'

/** Keys of a project: held apart from what is de-identified with them (45 CFR 164.514(c)). */
export interface DeidentificationKeys {
  uid: Uint8Array
  patient: Uint8Array
  date: Uint8Array
}

const mac = (key: Uint8Array, text: string): Buffer => createHmac('sha256', key).update(text).digest()

/** Replacement of a UID: 2.25. and 122 bits of HMAC-SHA-256 as a UUID's integer (PS3.5 B.2); the same everywhere. */
export function replaceUid(keys: DeidentificationKeys, uid: string): string {
  const bytes = mac(keys.uid, uid).subarray(0, 16)
  bytes[6] = (bytes[6]! & 0x0f) | 0x80
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  return `2.25.${BigInt(`0x${bytes.toString('hex')}`)}`
}

/** Pseudonym of a patient: the same for the same Patient ID, telling nothing of it without the key. */
export const pseudonym = (keys: DeidentificationKeys, patientId: string): string =>
  `V${mac(keys.patient, patientId).toString('hex').slice(0, 15).toUpperCase()}`

const DAY_MS = 86_400_000
const LONGEST_SHIFT_DAYS = 3650

/** Days to move a patient's dates back: 1 to 3650, the same for all of them, so that intervals stay. */
export const dateShiftDays = (keys: DeidentificationKeys, patientId: string): number =>
  1 + (mac(keys.date, patientId).readUInt32BE(0) % LONGEST_SHIFT_DAYS)

/** A DA, DT or TM value moved back by whole days; times of day stay. Undefined where it is no date. */
export function shiftDate(value: string, vr: string, days: number): string | undefined {
  if (vr === 'TM') return value
  const match = /^(\d{4})(\d{2})(\d{2})(.*)$/.exec(value.trim())
  if (!match) return undefined
  const moved = new Date(Date.UTC(Number(match[1]), Number(match[2]) - 1, Number(match[3])) - days * DAY_MS)
  if (Number.isNaN(moved.getTime())) return undefined
  return moved.toISOString().slice(0, 10).replaceAll('-', '') + (vr === 'DA' ? '' : match[4])
}

const DUMMY_TEXT: Record<string, string> = {
  AE: 'ANON',
  AS: '000Y',
  CS: 'ANON',
  DA: '19000101',
  DS: '0',
  DT: '19000101000000',
  IS: '0',
  LO: 'ANON',
  LT: 'ANON',
  PN: 'ANON',
  SH: 'ANON',
  ST: 'ANON',
  TM: '000000',
  UC: 'ANON',
  UR: 'urn:vigil:removed',
  UT: 'ANON',
}

/** A value of the VR that says nothing (action D); for binary VRs zeros of the same length. */
export const dummyOf = (vr: string, length: number): string | Buffer => DUMMY_TEXT[vr] ?? Buffer.alloc(length)
