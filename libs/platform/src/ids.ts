import { v7 } from 'uuid'

const RANDOM_BYTES = 16
/** Asking the system for randomness costs more than an id: it gives enough for many. Nothing is used twice. */
const pool = new Uint8Array(256 * RANDOM_BYTES)
let used = pool.length

function randomBytes(): Uint8Array {
  if (used === pool.length) {
    crypto.getRandomValues(pool)
    used = 0
  }
  const bytes = pool.slice(used, used + RANDOM_BYTES)
  pool.fill(0, used, used + RANDOM_BYTES)
  used += RANDOM_BYTES
  return bytes
}

/** The counter of RFC 9562 6.2: ids of one millisecond stand in the order in which they were made. */
let msecs = 0
let seq = 0

/** A new UUIDv7 (RFC 9562 5.7): time-ordered, random, derived from nobody's data. */
export function newId(): string {
  const random = randomBytes()
  const now = Date.now()
  if (now > msecs) {
    msecs = now
    seq = new DataView(random.buffer).getUint32(6) >>> 1
  } else {
    seq = (seq + 1) >>> 0
    if (seq === 0) msecs++
  }
  return v7({ random, msecs, seq })
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** Whether a string is a UUID in its canonical lower-case text form (RFC 9562 4). */
export const isUuid = (text: string): boolean => UUID.test(text)
