import { inflateRawSync } from 'node:zlib'
import type { Element, Encoding, Instance, Item } from './element.js'
import { tagName } from './element.js'
import { DicomError, type DicomErrorCode } from './error.js'

/** What input may cost at most, checked before anything is allocated. */
export interface Limits {
  depth: number
  elements: number
  inflatedBytes: number
}

export const LIMITS: Limits = { depth: 32, elements: 500_000, inflatedBytes: 1024 ** 3 }

const ITEM = 0xfffee000
const ITEM_END = 0xfffee00d
const SEQUENCE_END = 0xfffee0dd
const PIXEL_DATA = 0x7fe00010
const UNDEFINED = 0xffff_ffff
const LONG_VRS = new Set(['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'SQ', 'SV', 'UC', 'UN', 'UR', 'UT', 'UV'])
const SHORT_VRS = new Set('AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US'.split(' '))
const IMPLICIT_LE: Encoding = { explicit: false, littleEndian: true }
const EXPLICIT_LE: Encoding = { explicit: true, littleEndian: true }

export const TRANSFER_SYNTAX = {
  implicit: '1.2.840.10008.1.2',
  explicit: '1.2.840.10008.1.2.1',
  deflated: '1.2.840.10008.1.2.1.99',
  bigEndian: '1.2.840.10008.1.2.2',
} as const

class Reader {
  private count = 0
  private readonly path: string[] = []

  constructor(
    private readonly bytes: Buffer,
    private readonly limits: Limits,
  ) {}

  private fail(code: DicomErrorCode, offset: number): never {
    throw new DicomError(code, offset, this.path.join('.'))
  }

  private need(offset: number, length: number, end: number): void {
    if (offset + length > end) this.fail('truncated', offset)
  }

  private tagAt(at: number, { littleEndian }: Encoding): number {
    const group = littleEndian ? this.bytes.readUInt16LE(at) : this.bytes.readUInt16BE(at)
    const element = littleEndian ? this.bytes.readUInt16LE(at + 2) : this.bytes.readUInt16BE(at + 2)
    return ((group << 16) | element) >>> 0
  }

  private lengthAt(at: number, { littleEndian }: Encoding): number {
    return littleEndian ? this.bytes.readUInt32LE(at) : this.bytes.readUInt32BE(at)
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
      this.path.push(tagName(tag))
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
    if (vr === 'SQ')
      return {
        ...plain,
        items: this.items(valueStart, valueEnd, encoding, false).items,
        itemEncoding: encoding,
      }
    // Without a VR a sequence is told by its first item; so is one that was written as UN.
    if (vr === 'UN' && length >= 8) return this.hiddenSequence(plain, encoding) ?? plain
    return plain
  }

  private header(
    at: number,
    end: number,
    encoding: Encoding,
  ): { vr: string; length: number; valueStart: number } {
    if (!encoding.explicit) return { vr: 'UN', length: this.lengthAt(at + 4, encoding), valueStart: at + 8 }
    const vr = this.bytes.toString('latin1', at + 4, at + 6)
    if (SHORT_VRS.has(vr)) {
      const length = encoding.littleEndian ? this.bytes.readUInt16LE(at + 6) : this.bytes.readUInt16BE(at + 6)
      return { vr, length, valueStart: at + 8 }
    }
    if (!LONG_VRS.has(vr)) this.fail('invalid_vr', at)
    this.need(at, 12, end)
    return { vr, length: this.lengthAt(at + 8, encoding), valueStart: at + 12 }
  }

  private hiddenSequence(element: Element, encoding: Encoding): Element | undefined {
    const { valueStart, valueEnd } = element
    const inner = encoding.explicit ? IMPLICIT_LE : encoding
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
      const length = this.lengthAt(at + 4, encoding)
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
      const length = this.lengthAt(at + 4, encoding)
      if (length === UNDEFINED || at + 8 + length > end) this.fail('invalid_length', at)
      at += 8 + length
    }
    return this.fail('truncated', end)
  }
}

/** File meta information (PS3.10 7.1) from `start`; always explicit little endian. */
function readMeta(bytes: Buffer, start: number, limits: Limits): { meta: Map<number, Buffer>; next: number } {
  const meta = new Map<number, Buffer>()
  let at = start
  while (at + 8 <= bytes.length && bytes.readUInt16LE(at) === 2) {
    const { elements } = new Reader(bytes.subarray(0, elementEnd(bytes, at)), limits).elements(
      at,
      elementEnd(bytes, at),
      EXPLICIT_LE,
      false,
    )
    const element = elements[0]!
    meta.set(element.tag, bytes.subarray(element.valueStart, element.valueEnd))
    at = element.end
  }
  return { meta, next: at }
}

function elementEnd(bytes: Buffer, at: number): number {
  const long = LONG_VRS.has(bytes.toString('latin1', at + 4, at + 6))
  if (long && at + 12 > bytes.length) throw new DicomError('truncated', at)
  const end = long ? at + 12 + bytes.readUInt32LE(at + 8) : at + 8 + bytes.readUInt16LE(at + 6)
  if (end > bytes.length) throw new DicomError('invalid_length', at)
  return end
}

/** Encoding of a data set that no transfer syntax describes, from its first element; undefined where it is none. */
function sniff(bytes: Buffer, at: number): string | undefined {
  if (at + 8 > bytes.length) return undefined
  const vr = bytes.toString('latin1', at + 4, at + 6)
  const explicit = SHORT_VRS.has(vr) || LONG_VRS.has(vr)
  const little = bytes.readUInt16LE(at)
  if (little >= 2 && little <= 0x0010) return explicit ? TRANSFER_SYNTAX.explicit : plausible(bytes, at)
  const big = bytes.readUInt16BE(at)
  return big >= 2 && big <= 0x0010 && explicit ? TRANSFER_SYNTAX.bigEndian : undefined
}

const plausible = (bytes: Buffer, at: number): string | undefined =>
  at + 8 + bytes.readUInt32LE(at + 4) <= bytes.length ? TRANSFER_SYNTAX.implicit : undefined

const uidText = (bytes: Buffer): string => bytes.toString('latin1').replace(/[\0 ]+$/, '')

/** Where the meta information begins: after the preamble, or at once where a sender left the preamble out. */
function metaStart(bytes: Buffer): number {
  if (bytes.length >= 132 && bytes.toString('latin1', 128, 132) === 'DICM') return 132
  return bytes.length >= 4 && bytes.toString('latin1', 0, 4) === 'DICM' ? 4 : 0
}

function encodingOf(transferSyntax: string): Encoding {
  if (transferSyntax === TRANSFER_SYNTAX.implicit) return IMPLICIT_LE
  if (transferSyntax === TRANSFER_SYNTAX.bigEndian) return { explicit: true, littleEndian: false }
  return EXPLICIT_LE
}

function inflate(bytes: Buffer, limits: Limits): Buffer {
  try {
    return inflateRawSync(bytes, { maxOutputLength: limits.inflatedBytes })
  } catch (error) {
    const tooLarge = (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE'
    throw new DicomError(tooLarge ? 'inflated_too_large' : 'truncated', 0)
  }
}

/**
 * Reads a DICOM instance (PS3.10) down to tags, VRs and offsets; no value is copied or interpreted. Throws DicomError
 * for anything malformed, in bounded time and memory.
 */
export function parseInstance(bytes: Buffer, limits: Limits = LIMITS): Instance {
  const start = metaStart(bytes)
  const { meta, next } = readMeta(bytes, start, limits)
  const declared = meta.get(0x00020010)
  const transferSyntax = declared ? uidText(declared) : sniff(bytes, next)
  if (transferSyntax === undefined) throw new DicomError('not_dicom', next)
  if (!/^1\.2\.840\.10008\.1\.2(\.\d+)*$/.test(transferSyntax))
    throw new DicomError('invalid_transfer_syntax', start)
  const deflated = transferSyntax === TRANSFER_SYNTAX.deflated
  const dataset = deflated ? inflate(bytes.subarray(next), limits) : bytes.subarray(next)
  const encoding = encodingOf(transferSyntax)
  const { elements } = new Reader(dataset, limits).elements(0, dataset.length, encoding, false)
  if (elements.length === 0) throw new DicomError('not_dicom', next)
  return { dataset, elements, meta, transferSyntax, encoding, deflated }
}
