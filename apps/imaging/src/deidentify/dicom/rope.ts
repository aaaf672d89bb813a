import type { Bytes } from './bytes.js'

/** A piece of output: new bytes, or a range of the source that is copied as it stands. */
export type Part = Buffer | { start: number; end: number }

const sizeOf = (part: Part): number => (Buffer.isBuffer(part) ? part.length : part.end - part.start)

/** Output put together of new bytes and ranges of the source; nothing is copied before it is written. */
export class Rope {
  readonly parts: Part[] = []
  length = 0

  append(bytes: Buffer): void {
    this.parts.push(bytes)
    this.length += bytes.length
  }

  /** Takes over bytes `start` to `end` of the source; neighbouring ranges become one. */
  copy(start: number, end: number): void {
    const last = this.parts.at(-1)
    if (last && !Buffer.isBuffer(last) && last.end === start) last.end = end
    else this.parts.push({ start, end })
    this.length += end - start
  }

  /** Puts bytes before the part of this index. */
  insert(at: number, bytes: Buffer): void {
    this.parts.splice(at, 0, bytes)
    this.length += bytes.length
  }

  appendAll(other: Rope): void {
    for (const part of other.parts) {
      if (Buffer.isBuffer(part)) this.append(part)
      else this.copy(part.start, part.end)
    }
  }

  /** The output; of a source that is read piece by piece a megabyte at most at a time. */
  *chunks(source: Bytes, size = 1024 * 1024): Generator<Buffer> {
    for (const part of this.parts) {
      if (Buffer.isBuffer(part)) yield part
      else if (Buffer.isBuffer(source)) yield source.subarray(part.start, part.end)
      else
        for (let at = part.start; at < part.end; at += size)
          yield source.subarray(at, Math.min(at + size, part.end))
    }
  }

  /** The whole output in memory. */
  toBuffer(source: Bytes): Buffer {
    const whole = Buffer.allocUnsafe(this.length)
    let at = 0
    for (const part of this.parts) {
      const bytes = Buffer.isBuffer(part) ? part : source.subarray(part.start, part.end)
      bytes.copy(whole, at)
      at += sizeOf(part)
    }
    return whole
  }
}
