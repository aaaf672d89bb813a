import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { FLOE_64K, FLOE_HEADER_LENGTH, type FloeKey, floePlaintextLength, openFloe } from './floe.js'
import { plaintextLength } from './range.js'
import { NotAuthenticError } from './xaes.js'

/**
 * An encrypted file open for reading at any place, on a thread that may wait for the disk. A byte is handed out only
 * after its segment's tag was checked (else NotAuthenticError); the last segment is checked when the file is opened, so
 * that a file that was cut is found out at once.
 */
export class OpenedFile {
  private readonly floe: FloeKey
  private readonly final: number
  /** Length of the plaintext. */
  readonly length: number
  private last?: { segment: number; bytes: Buffer }

  private constructor(
    private readonly file: number,
    key: Uint8Array,
    aad: Uint8Array,
  ) {
    const { size } = fstatSync(file)
    this.length = plaintextLength(size)
    this.floe = openFloe(key, aad, this.raw(0, FLOE_HEADER_LENGTH))
    this.final = Math.ceil((size - FLOE_HEADER_LENGTH) / FLOE_64K.segmentLength) - 1
    this.segment(this.final)
  }

  /** Opens a file that encryptFile made; throws NotAuthenticError for another key or additional data. */
  static open(path: string, key: Uint8Array, aad: Uint8Array): OpenedFile {
    const file = openSync(path, 'r')
    try {
      return new OpenedFile(file, key, aad)
    } catch (error) {
      closeSync(file)
      throw error
    }
  }

  private raw(position: number, most: number): Buffer {
    const bytes = Buffer.allocUnsafe(most)
    const length = readSync(this.file, bytes, 0, most, position)
    return bytes.subarray(0, length)
  }

  private segment(index: number): Buffer {
    if (this.last?.segment === index) return this.last.bytes
    const sealed = this.raw(FLOE_HEADER_LENGTH + index * FLOE_64K.segmentLength, FLOE_64K.segmentLength)
    if (sealed.length === 0) throw new NotAuthenticError()
    const bytes = this.floe.openSegment(index, sealed, index === this.final)
    this.last = { segment: index, bytes }
    return bytes
  }

  /** Bytes `start` to `end` of the plaintext, `end` not included. */
  read(start: number, end: number): Buffer {
    const perSegment = floePlaintextLength(FLOE_64K)
    const out = Buffer.allocUnsafe(end - start)
    for (let at = start; at < end; ) {
      const index = Math.floor(at / perSegment)
      const from = at - index * perSegment
      const copied = this.segment(index).copy(out, at - start, from, Math.min(perSegment, from + end - at))
      if (copied === 0) throw new RangeError('The range is outside the file')
      at += copied
    }
    return out
  }

  close(): void {
    closeSync(this.file)
  }
}
