import { FLOE_64K, FLOE_HEADER_LENGTH, FLOE_OVERHEAD, floePlaintextLength, openFloe } from './floe.js'
import { NotAuthenticError } from './xaes.js'

/** An encrypted file that can be read at any place; `read` may answer with less at the end of the file. */
export interface SealedFile {
  /** Length of the ciphertext in bytes. */
  size: number
  read(position: number, length: number): Promise<Uint8Array>
}

/** Bytes `start` to `end` of the plaintext, `end` not included. */
export interface ByteRange {
  start: number
  end: number
}

/** How many segments a ciphertext of this size has; a file has one at least. */
function segmentsIn(size: number, segmentLength: number): number {
  const count = Math.ceil((size - FLOE_HEADER_LENGTH) / segmentLength)
  if (count < 1) throw new NotAuthenticError()
  return count
}

/** Length of the plaintext of a ciphertext of this size: as true as the size is, for nothing was checked yet. */
export const plaintextLength = (size: number, parameters = FLOE_64K): number =>
  size - FLOE_HEADER_LENGTH - segmentsIn(size, parameters.segmentLength) * FLOE_OVERHEAD

/**
 * Decrypts a range of what encryptFile made, reading the header and the segments it lies in and no others. A byte
 * is handed out only after its segment's tag was checked (else NotAuthenticError); damage elsewhere goes unseen.
 * Throws RangeError for a range outside the file.
 */
export async function* decryptRange(
  key: Uint8Array,
  aad: Uint8Array,
  file: SealedFile,
  { start, end }: ByteRange,
  parameters = FLOE_64K,
): AsyncGenerator<Buffer> {
  if (!(start >= 0 && start <= end && end <= plaintextLength(file.size, parameters)))
    throw new RangeError('The range is outside the file')
  const floe = openFloe(key, aad, await file.read(0, FLOE_HEADER_LENGTH), parameters)
  const { segmentLength } = parameters
  const perSegment = floePlaintextLength(parameters)
  const final = segmentsIn(file.size, segmentLength) - 1
  for (let segment = Math.floor(start / perSegment); segment * perSegment < end; segment++) {
    const sealed = await file.read(FLOE_HEADER_LENGTH + segment * segmentLength, segmentLength)
    const opened = floe.openSegment(segment, sealed, segment === final)
    const first = segment * perSegment
    yield opened.subarray(Math.max(0, start - first), end - first)
  }
}
