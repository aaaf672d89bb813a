import {
  FLOE_64K,
  FLOE_HEADER_LENGTH,
  type FloeParameters,
  floePlaintextLength,
  openFloe,
  startFloe,
} from './floe.js'
import { NotAuthenticError } from './xaes.js'

/** Cuts a stream into pieces of exactly `length` bytes; the last is shorter, and comes even when it is empty. */
async function* pieces(
  source: AsyncIterable<Uint8Array>,
  length: number,
): AsyncGenerator<{ bytes: Buffer; last: boolean }> {
  let held: Uint8Array[] = []
  let size = 0
  for await (const chunk of source) {
    held.push(chunk)
    size += chunk.length
    if (size <= length) continue
    const all = Buffer.concat(held)
    let at = 0
    for (; all.length - at > length; at += length) yield { bytes: all.subarray(at, at + length), last: false }
    held = [all.subarray(at)]
    size = all.length - at
  }
  yield { bytes: Buffer.concat(held), last: true }
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
