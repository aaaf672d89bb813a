/** Byte strings to be found in values that are not text: one pass, whatever their number. */
export class Needles {
  private readonly firsts = new Uint8Array(65_536)
  private readonly byFirst = new Map<number, Buffer[]>()
  private longest = 0

  constructor(texts: readonly string[], written: readonly Buffer[] = []) {
    for (const bytes of written) this.add(bytes)
    for (const text of texts) {
      // As text is folded: in capitals; and as most people write it.
      const written = [text, text.toLowerCase(), text[0] + text.slice(1).toLowerCase()]
      for (const form of new Set(written))
        for (const encoding of ['utf8', 'latin1', 'utf16le'] as const) this.add(Buffer.from(form, encoding))
    }
  }

  private add(needle: Buffer): void {
    const first = needle.readUInt16LE(0)
    const others = this.byFirst.get(first) ?? []
    if (others.some((other) => other.equals(needle))) return
    this.firsts[first] = 1
    this.byFirst.set(first, [...others, needle])
    this.longest = Math.max(this.longest, needle.length)
  }

  /** How far pieces of a long value must overlap. */
  get overlap(): number {
    return this.longest
  }

  /** Whether one of them stands in these bytes. */
  isIn(bytes: Buffer): boolean {
    const { firsts, byFirst } = this
    for (let at = 0; at + 1 < bytes.length; at++) {
      const pair = bytes[at]! | (bytes[at + 1]! << 8)
      if (firsts[pair] === 0) continue
      for (const needle of byFirst.get(pair)!)
        if (
          at + needle.length <= bytes.length &&
          bytes.compare(needle, 0, needle.length, at, at + needle.length) === 0
        )
          return true
    }
    return false
  }
}
