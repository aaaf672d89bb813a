/** A line of a stream, numbered from 1; without its bytes where it is longer than allowed. */
export interface Line {
  number: number
  bytes?: Uint8Array
}

const NEWLINE = 0x0a
const isBlank = (bytes: Uint8Array) => bytes.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d)

/** The line under way, of which no more is kept than a line may have. */
class Partial {
  private parts: Uint8Array[] = []
  private length = 0

  constructor(private readonly limit: number) {}

  add(part: Uint8Array): void {
    this.length += part.length
    if (this.length <= this.limit) this.parts.push(part)
    else this.parts = []
  }

  /** The line's bytes, undefined where it was too long; begins the next one. */
  take(): Uint8Array | undefined {
    const bytes = this.length > this.limit ? undefined : Buffer.concat(this.parts)
    this.parts = []
    this.length = 0
    return bytes
  }
}

/**
 * Splits a stream into lines at LF (NDJSON; a CR before it is white space of JSON). Blank lines are numbered but left
 * out. A line above the limit (bytes) comes without its bytes and costs no more memory than the limit.
 */
export async function* linesOf(source: AsyncIterable<Uint8Array>, limit: number): AsyncGenerator<Line> {
  const partial = new Partial(limit)
  let number = 0
  const finished = (): Line[] => {
    const bytes = partial.take()
    number++
    if (bytes && isBlank(bytes)) return []
    return [bytes ? { number, bytes } : { number }]
  }
  for await (const chunk of source) {
    let from = 0
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
      partial.add(chunk.subarray(from, end))
      yield* finished()
      from = end + 1
    }
    partial.add(chunk.subarray(from))
  }
  yield* finished()
}
