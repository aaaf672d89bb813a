import type { Bytes } from './bytes.js'
import { standardVr } from './dictionary.js'
import { type Element, type Encoding, type Item, tagName } from './element.js'
import { DicomError, type DicomErrorCode } from './error.js'
import type { Limits } from './limits.js'
import { BULK_VRS, SHORT_VRS, vrFrom } from './vr.js'

const ITEM = 0xfffee000
const ITEM_END = 0xfffee00d
const SEQUENCE_END = 0xfffee0dd
const PIXEL_DATA = 0x7fe00010
const UNDEFINED = 0xffff_ffff
const IMPLICIT_LE: Encoding = { explicit: false, littleEndian: true }
/** How much is looked at in one go where the bytes come from elsewhere. */
const WINDOW = 16 * 1024

/** Reads elements, items and fragments to their offsets, within limits. */
export class Reader {
  private count = 0
  private readonly path: number[] = []
  private window: Buffer = Buffer.alloc(0)
  private base = 0

  constructor(
    private readonly bytes: Bytes,
    private readonly limits: Limits,
  ) {
    if (Buffer.isBuffer(bytes)) this.window = bytes
  }

  private fail(code: DicomErrorCode, offset: number): never {
    throw new DicomError(code, offset, this.path.map(tagName).join('.'))
  }

  /** Makes `length` bytes at `at` readable in the window. */
  private need(at: number, length: number, end: number): void {
    if (at + length > end) this.fail('truncated', at)
    if (at >= this.base && at + length <= this.base + this.window.length) return
    this.window = this.bytes.subarray(at, Math.min(at + WINDOW, this.bytes.length))
    this.base = at
  }

  private ushort(at: number, littleEndian: boolean): number {
    return littleEndian ? this.window.readUInt16LE(at - this.base) : this.window.readUInt16BE(at - this.base)
  }

  private ulong(at: number, littleEndian: boolean): number {
    return littleEndian ? this.window.readUInt32LE(at - this.base) : this.window.readUInt32BE(at - this.base)
  }

  private tagAt(at: number, { littleEndian }: Encoding): number {
    return ((this.ushort(at, littleEndian) << 16) | this.ushort(at + 2, littleEndian)) >>> 0
  }

  /** One element that begins at `at`. */
  one(at: number, encoding: Encoding): Element {
    this.need(at, 8, this.bytes.length)
    return this.element(this.tagAt(at, encoding), at, this.bytes.length, encoding)
  }

  /** Elements from `start` to `end`, or to an item delimiter where the item's length is undefined. */
  elements(
    start: number,
    end: number,
    encoding: Encoding,
    delimited: boolean,
  ): { elements: Element[]; next: number } {
    if (this.path.length > this.limits.depth) this.fail('too_deep', start)
    const elements: Element[] = []
    let at = start
    while (at < end) {
      this.need(at, 8, end)
      const tag = this.tagAt(at, encoding)
      if (delimited && tag === ITEM_END) return { elements, next: at + 8 }
      if (++this.count > this.limits.elements) this.fail('too_many_elements', at)
      this.path.push(tag)
      const element = this.element(tag, at, end, encoding)
      this.path.pop()
      elements.push(element)
      at = element.end
    }
    if (delimited) this.fail('truncated', at)
    return { elements, next: at }
  }

  private element(tag: number, start: number, end: number, encoding: Encoding): Element {
    const { vr, length, valueStart } = this.header(start, end, encoding)
    if (length === UNDEFINED) return this.undefinedLength(tag, vr, start, valueStart, end, encoding)
    if (valueStart + length > end) this.fail('invalid_length', start)
    const valueEnd = valueStart + length
    const plain: Element = { tag, vr, start, valueStart, valueEnd, end: valueEnd }
    if (vr === 'SQ') {
      plain.items = this.items(valueStart, valueEnd, encoding, false).items
      plain.itemEncoding = encoding
      return plain
    }
    // Without a VR a sequence is told by its first item; so is one that was written as UN.
    if (vr === 'UN' && length >= 8) return this.hiddenSequence(plain, encoding) ?? this.sized(plain)
    return this.sized(plain)
  }

  /** A value that is read as a whole must not be longer than the limit; bulk data may. */
  private sized(element: Element): Element {
    if (element.valueEnd - element.valueStart <= this.limits.valueBytes) return element
    const vr = element.vr === 'UN' ? (standardVr(element.tag) ?? 'UN') : element.vr
    if (!BULK_VRS.has(vr)) this.fail('value_too_large', element.start)
    return element
  }

  private header(at: number, end: number, encoding: Encoding) {
    const { explicit, littleEndian } = encoding
    if (!explicit) return { vr: 'UN', length: this.ulong(at + 4, littleEndian), valueStart: at + 8 }
    const vr = vrFrom(this.window[at + 4 - this.base]!, this.window[at + 5 - this.base]!)
    if (!vr) this.fail('invalid_vr', at)
    if (SHORT_VRS.has(vr)) return { vr, length: this.ushort(at + 6, littleEndian), valueStart: at + 8 }
    this.need(at, 12, end)
    return { vr, length: this.ulong(at + 8, littleEndian), valueStart: at + 12 }
  }

  private hiddenSequence(element: Element, encoding: Encoding): Element | undefined {
    const { tag, valueStart, valueEnd } = element
    if ((standardVr(tag) ?? 'SQ') !== 'SQ') return undefined
    const inner = encoding.explicit ? IMPLICIT_LE : encoding
    this.need(valueStart, 8, valueEnd)
    if (this.tagAt(valueStart, inner) !== ITEM) return undefined
    const [count, depth] = [this.count, this.path.length]
    try {
      return { ...element, items: this.items(valueStart, valueEnd, inner, false).items, itemEncoding: inner }
    } catch (error) {
      // It only looked like a sequence: it is kept as plain bytes.
      if (!(error instanceof DicomError) || error.code === 'too_deep' || error.code === 'too_many_elements')
        throw error
      this.count = count
      this.path.length = depth
      return undefined
    }
  }

  private undefinedLength(
    tag: number,
    vr: string,
    start: number,
    valueStart: number,
    end: number,
    encoding: Encoding,
  ): Element {
    if (tag === PIXEL_DATA || vr === 'OB' || vr === 'OW')
      return this.fragments(tag, vr, start, valueStart, end, encoding)
    if (vr !== 'SQ' && vr !== 'UN') this.fail('invalid_length', start)
    const inner = vr === 'UN' && encoding.explicit ? IMPLICIT_LE : encoding
    const { items, valueEnd, next } = this.items(valueStart, end, inner, true)
    return { tag, vr, start, valueStart, valueEnd, end: next, items, itemEncoding: inner }
  }

  private items(start: number, end: number, encoding: Encoding, delimited: boolean) {
    const items: Item[] = []
    let at = start
    while (at < end) {
      this.need(at, 8, end)
      const tag = this.tagAt(at, encoding)
      if (delimited && tag === SEQUENCE_END) return { items, valueEnd: at, next: at + 8 }
      if (tag !== ITEM) this.fail('invalid_sequence', at)
      if (++this.count > this.limits.elements) this.fail('too_many_elements', at)
      const length = this.ulong(at + 4, encoding.littleEndian)
      const open = length === UNDEFINED
      if (!open && at + 8 + length > end) this.fail('invalid_length', at)
      const { elements, next } = this.elements(at + 8, open ? end : at + 8 + length, encoding, open)
      items.push({ elements })
      at = next
    }
    if (delimited) this.fail('truncated', at)
    return { items, valueEnd: at, next: at }
  }

  private fragments(
    tag: number,
    vr: string,
    start: number,
    valueStart: number,
    end: number,
    encoding: Encoding,
  ): Element {
    for (let at = valueStart; at < end; ) {
      this.need(at, 8, end)
      const mark = this.tagAt(at, encoding)
      if (mark === SEQUENCE_END)
        return { tag, vr, start, valueStart, valueEnd: at, end: at + 8, encapsulated: true }
      if (mark !== ITEM) this.fail('invalid_sequence', at)
      if (++this.count > this.limits.elements) this.fail('too_many_elements', at)
      const length = this.ulong(at + 4, encoding.littleEndian)
      if (length === UNDEFINED || at + 8 + length > end) this.fail('invalid_length', at)
      at += 8 + length
    }
    return this.fail('truncated', end)
  }
}
