/** Bytes that can be had piece by piece: a Buffer, a file, a decrypted range. */
export interface Bytes {
  readonly length: number
  subarray(start: number, end: number): Buffer
}

const WINDOW = 64 * 1024

/** Bytes behind a reader of ranges: small reads come out of one window, large ones go through. */
export class RangedBytes implements Bytes {
  private window: Buffer = Buffer.alloc(0)
  private windowStart = 0

  constructor(
    readonly length: number,
    private readonly read: (start: number, end: number) => Buffer,
  ) {}

  subarray(start: number, end: number): Buffer {
    const to = Math.min(end, this.length)
    const from = Math.min(Math.max(0, start), to)
    if (to - from > WINDOW) return this.read(from, to)
    if (from < this.windowStart || to > this.windowStart + this.window.length) {
      this.window = this.read(from, Math.min(from + WINDOW, this.length))
      this.windowStart = from
    }
    return this.window.subarray(from - this.windowStart, to - this.windowStart)
  }
}

/** The rest of some bytes from a place on. */
export function tail(bytes: Bytes, from: number): Bytes {
  if (Buffer.isBuffer(bytes)) return bytes.subarray(from)
  return {
    length: bytes.length - from,
    subarray: (start, end) => bytes.subarray(from + start, from + end),
  }
}
