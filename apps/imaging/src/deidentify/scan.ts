import type { Bytes } from './dicom/bytes.js'
import { type CodeSet, crossOut, type Decoded, decodeText } from './dicom/charset.js'
import { bytesOf, type Element, vrOf } from './dicom/element.js'
import { CHARSET_VRS, NUMERIC_TEXT_VRS, TEXT_VRS } from './dicom/vr.js'
import { suspicious } from './free-text.js'
import type { Identifiers, Range } from './identifiers.js'
import { Needles } from './needles.js'

/** What was found in a value that stays: nothing, something that could be taken out, or something that could not. */
export type Scanned = { kind: 'clean' } | { kind: 'cleaned'; value: Buffer } | { kind: 'left' }

const CLEAN: Scanned = { kind: 'clean' }
const LEFT: Scanned = { kind: 'left' }
const PIECE = 1024 * 1024
/** Compressed frames carry comments at their head; what is past the last row stands at the end. */
const FRAGMENT_HEAD = 2048
const FRAGMENT_TAIL = 256

/** Values up to this length are looked at before anything is prepared for a search. */
const SMALL = 4096

/** Whether six bytes of text could stand in a value: printable ones in a row, a zero after each where it is UTF-16. */
function mayHoldText(bytes: Buffer): boolean {
  let run = 0
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]!
    if (byte >= 0x20 && byte !== 0x7f) run++
    else if (byte !== 0 || run === 0 || bytes[at - 1] === 0) run = 0
    if (run >= 6) return true
  }
  return false
}

/** What numbers, dates and ages are written with (PS3.5 6.2); anything else in such a value is text in the wrong place. */
const isNumeric = (text: string): boolean => /^[\d.+\-eE\\ :DWMY]*$/.test(text.replaceAll('\0', ''))

/** Line ends, ends of strings, and what invokes another character set. */
const CONTROLS = new Set([0x00, 0x0a, 0x0d, 0x1b])
const isPrintable = (bytes: Buffer): boolean =>
  bytes.every((byte) => (byte >= 0x20 && byte !== 0x7f) || CONTROLS.has(byte))

/** Looks through values that stay for what tells of somebody. */
export class Scanner {
  private needles?: Needles

  constructor(
    private readonly dataset: Bytes,
    private readonly identifiers: Identifiers,
    private readonly people: Identifiers,
  ) {}

  /** What an option keeps on purpose (`wanted`) may hold everything but people. */
  scan(element: Element, charset: CodeSet, wanted = false): Scanned {
    const identifiers = wanted ? this.people : this.identifiers
    const length = element.valueEnd - element.valueStart
    if (length < 2) return CLEAN
    const vr = vrOf(element)
    if (TEXT_VRS.has(vr)) return this.text(bytesOf(this.dataset, element), vr, charset, identifiers)
    if (NUMERIC_TEXT_VRS.has(vr)) {
      const text = bytesOf(this.dataset, element).toString('latin1')
      if (!isNumeric(text)) return this.text(bytesOf(this.dataset, element), 'LO', charset, identifiers)
      return wanted ? CLEAN : this.numbers(text)
    }
    if (vr === 'UI' || length < 6) return CLEAN
    if (vr === 'UN' && length <= PIECE) {
      const bytes = bytesOf(this.dataset, element)
      if (isPrintable(bytes)) return this.text(bytes, 'LO', charset, identifiers)
    }
    return this.binary(element.valueStart, element.valueEnd)
  }

  private text(bytes: Buffer, vr: string, charset: CodeSet, identifiers: Identifiers): Scanned {
    const readings: Decoded[] = CHARSET_VRS.has(vr)
      ? [decodeText(bytes, charset)]
      : [{ text: bytes.toString('latin1') }]
    // Senders declare one character set and write another: what is no ASCII is read as UTF-8 and Latin 1, too.
    if (readings[0]!.starts) readings.push({ text: bytes.toString('latin1') })
    else if (/[\x80-\xff]/.test(readings[0]!.text)) readings.push(decodeText(bytes, UTF_8))
    let value: Buffer | undefined
    for (const reading of readings) {
      const ranges: Range[] = identifiers.find(reading.text, { isCode: vr === 'CS' })
      if (CHARSET_VRS.has(vr) && vr !== 'PN' && identifiers !== this.people)
        ranges.push(...suspicious(reading.text))
      if (ranges.length === 0) continue
      value ??= Buffer.from(bytes)
      for (const [from, to] of ranges) crossOut(value, reading, from, to)
    }
    return value && !value.equals(bytes) ? { kind: 'cleaned', value } : CLEAN
  }

  /** Numbers and dates that are among the identifiers go as a whole. */
  private numbers(text: string): Scanned {
    const parts = text.replace(/(?<![\0 ])[\0 ]+$/, '').split('\\')
    if (!parts.some((part) => this.identifiers.hasNumber(part))) return CLEAN
    const kept = parts.map((part) => (this.identifiers.hasNumber(part) ? '' : part)).join('\\')
    return { kind: 'cleaned', value: Buffer.from(/^\\*$/.test(kept) ? '' : kept) }
  }

  private binary(start: number, end: number): Scanned {
    if (end - start <= SMALL && !mayHoldText(this.dataset.subarray(start, end))) return CLEAN
    this.needles ??= new Needles(this.identifiers.needles(), this.identifiers.writtenNames)
    const step = PIECE - this.needles.overlap
    for (let at = start; at < end; at += step)
      if (this.needles.isIn(this.dataset.subarray(at, Math.min(at + PIECE, end)))) return LEFT
    return CLEAN
  }

  /** What is in pixel data but is no pixel: heads and ends of compressed frames, bytes past the last frame. */
  pixels(element: Element, nativeLength: number): Scanned {
    const { valueStart, valueEnd } = element
    if (!element.encapsulated) {
      const surplus = valueStart + nativeLength
      return nativeLength > 0 && valueEnd - surplus >= 6 ? this.binary(surplus, valueEnd) : CLEAN
    }
    for (let at = valueStart; at + 8 <= valueEnd; ) {
      const length = this.dataset.subarray(at + 4, at + 8).readUInt32LE(0)
      const [from, to] = [at + 8, at + 8 + length]
      if (this.binary(from, Math.min(to, from + FRAGMENT_HEAD)).kind === 'left') return LEFT
      if (length > FRAGMENT_HEAD && this.binary(Math.max(from, to - FRAGMENT_TAIL), to).kind === 'left')
        return LEFT
      at = to
    }
    return CLEAN
  }
}

const UTF_8: CodeSet = { label: 'utf-8', kind: 'utf-8' }
