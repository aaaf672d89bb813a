import {
  FLOE_64K,
  FLOE_HEADER_LENGTH,
  type FloeParameters,
  floePlaintextLength,
  openFloe,
  startFloe,
} from './floe.js'
import { NotAuthenticError } from './xaes.js'

/**
 * Cuts a stream into pieces of exactly `length` bytes; the last is shorter, and comes even when it is empty. What lies
 * whole in a chunk is not copied; what lies across two is, so that a source may use its buffer again.
 */
async function* pieces(
  source: AsyncIterable<Uint8Array>,
  length: number,
): AsyncGenerator<{ bytes: Buffer; last: boolean }> {
  let held = Buffer.alloc(0)
  for await (const chunk of source) {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length)
    let at = 0
    if (held.length > 0 && held.length < length) {
      at = Math.min(length - held.length, bytes.length)
      held = Buffer.concat([held, bytes.subarray(0, at)])
    }
    // A full piece waits until another byte shows that it is not the last.
    if (at < bytes.length && held.length > 0) yield { bytes: held, last: false }
    else if (at === bytes.length) continue
    for (; bytes.length - at > length; at += length)
      yield { bytes: bytes.subarray(at, at + length), last: false }
    held = Buffer.from(bytes.subarray(at))
  }
  yield { bytes: held, last: true }
}

/** Encrypts a stream with FLOE under a 32-byte key, one segment in memory at a time. */
export async function* encryptFile(
  key: Uint8Array,
  aad: Uint8Array,
  plaintext: AsyncIterable<Uint8Array>,
  parameters: FloeParameters = FLOE_64K,
): AsyncGenerator<Buffer> {
  const floe = startFloe(key, aad, parameters)
  yield floe.header
  let segment = 0
  for await (const { bytes, last } of pieces(plaintext, floePlaintextLength(parameters))) {
    yield floe.sealSegment(segment++, bytes, last)
  }
}

/**
 * Decrypts what encryptFile made; a segment is handed out only after its tag was checked, and a stream that was
 * cut, extended or reordered ends in NotAuthenticError.
 */
export async function* decryptFile(
  key: Uint8Array,
  aad: Uint8Array,
  ciphertext: AsyncIterable<Uint8Array>,
  parameters: FloeParameters = FLOE_64K,
): AsyncGenerator<Buffer> {
  const { header, rest } = await splitHeader(ciphertext)
  const floe = openFloe(key, aad, header, parameters)
  let segment = 0
  for await (const { bytes, last } of pieces(rest, parameters.segmentLength)) {
    yield floe.openSegment(segment++, bytes, last)
  }
}

async function splitHeader(source: AsyncIterable<Uint8Array>) {
  const iterator = source[Symbol.asyncIterator]()
  let start = Buffer.alloc(0)
  while (start.length < FLOE_HEADER_LENGTH) {
    const { value, done } = await iterator.next()
    if (done) throw new NotAuthenticError()
    start = Buffer.concat([start, value])
  }
  async function* rest(): AsyncGenerator<Uint8Array> {
    try {
      yield start.subarray(FLOE_HEADER_LENGTH)
      for (;;) {
        const { value, done } = await iterator.next()
        if (done) return
        yield value
      }
    } finally {
      await iterator.return?.()
    }
  }
  return { header: start.subarray(0, FLOE_HEADER_LENGTH), rest: rest() }
}
