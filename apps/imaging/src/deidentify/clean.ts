import { itemContext } from './context.js'
import { shiftDate } from './dates.js'
import { type Context, type Decider, TAG, UID_OF_STANDARD } from './decide.js'
import type { Bytes } from './dicom/bytes.js'
import { decodeText } from './dicom/charset.js'
import { bytesOf, type Element, type Item, tagName, vrOf } from './dicom/element.js'
import { DicomError } from './dicom/error.js'
import { Rope } from './dicom/rope.js'
import { CHARSET_VRS } from './dicom/vr.js'
import { elementHeader, encodeElement, encodeItem, itemHeader, padded } from './dicom/write.js'
import { blankDocument, dummyOf } from './dummy.js'
import { cleanDescription } from './free-text.js'
import type { Identifiers } from './identifiers.js'
import type { Option } from './options.js'
import type { Resolved } from './profile.js'
import type { Report } from './report.js'
import { Scanner } from './scan.js'
import { CONTENT_SEQUENCES } from './structured-content.js'
import { type DeidentificationKeys, pseudonym, replaceUid } from './values.js'

/** What the cleaner needs to know of the instance and of what was asked for. */
export interface Job {
  dataset: Bytes
  options: readonly Option[]
  keys: DeidentificationKeys
  /** What the patient's pseudonym is derived from. */
  patient: string
  shiftDays: number
  mediaType: string
  /** Length of native pixel data by rows, columns and frames; 0 where that is not known. */
  nativePixels: number
}

/** Sequences with a person's or a place's code in them. */
const TELLING_CODES: ReadonlySet<number> = new Set([TAG.personCode, TAG.institutionCode])
/** Characters that a value of the VR may have (PS3.5 6.2). */
const LONGEST_TEXT: Record<string, number> = { LO: 64, SH: 16, ST: 1024, LT: 10_240 }
/** Pixel Data, Float Pixel Data, Double Float Pixel Data. */
const PIXELS: ReadonlySet<number> = new Set([0x7fe00008, 0x7fe00009, TAG.pixelData])
const LONGEST_VALUE = 0xffff_fffe
const NO_BYTES = Buffer.alloc(0)
const trimmed = (bytes: Buffer): string => bytes.toString('latin1').replace(/(?<![\0 ])[\0 ]+$/, '')

/** Writes the elements of an instance again, cleaned; what stays as it is, is copied from the source. */
export class Cleaner {
  /** Paths of what tells of somebody and could not be taken out. */
  readonly left: string[] = []
  private readonly scanner: Scanner

  constructor(
    private readonly job: Job,
    private readonly decider: Decider,
    private readonly identifiers: Identifiers,
    people: Identifiers,
    private readonly report: Report,
  ) {
    this.scanner = new Scanner(job.dataset, identifiers, people)
  }

  /** Appends an element's cleaned form; answers whether it differs from the source. */
  clean(element: Element, context: Context, out: Rope): boolean {
    const resolved = this.decider.decide(element, context)
    const { action } = resolved
    if (action === 'remove') return this.remove(element, context, resolved)
    const isSequence = element.items !== undefined || vrOf(element) === 'SQ'
    if (isSequence) return this.sequence(element, context, resolved, out)
    switch (action) {
      case 'keep':
      case 'clean-name':
      case 'items-only':
      case 'clean-private':
        return this.keep(element, context, resolved, out)
      case 'empty':
        return this.put(element, context, resolved, this.patientValue(element) ?? NO_BYTES, out)
      case 'dummy':
        return this.put(element, context, resolved, this.dummy(element), out)
      case 'uid':
        return this.put(element, context, resolved, this.uids(element), out)
      case 'shift-date':
        return this.put(element, context, resolved, this.shifted(element), out)
      case 'clean-text':
      case 'clean-content':
      case 'clean-graphics':
        return this.put(element, context, resolved, this.description(element, context), out)
      default:
        return action satisfies never
    }
  }

  private remove({ tag }: Element, { prefix }: Context, { action, option }: Resolved): boolean {
    if ((tag & 0xffff) !== 0) this.report.add(prefix, tag, action, option)
    return true
  }

  /** Writes a value in place of the element's; reports it where it differs. */
  private put(
    element: Element,
    context: Context,
    { action, option }: Resolved,
    value: Buffer,
    out: Rope,
  ): boolean {
    const vr = vrOf(element)
    const bytes = padded(value, vr)
    if (bytes.equals(bytesOf(this.job.dataset, element))) {
      out.copy(element.start, element.end)
      return false
    }
    this.report.add(context.prefix, element.tag, action, option)
    out.append(encodeElement(element.tag, element.vr, bytes, context.encoding))
    return true
  }

  private keep(element: Element, context: Context, { option }: Resolved, out: Rope): boolean {
    const vr = vrOf(element)
    const isPixels = PIXELS.has(element.tag)
    const scanned = isPixels
      ? this.scanner.pixels(element, this.job.nativePixels)
      : this.scanner.scan(element, context.charset, option !== undefined)
    if (scanned.kind === 'left') this.left.push(context.prefix + tagName(element.tag))
    if (scanned.kind !== 'cleaned') {
      out.copy(element.start, element.end)
      return false
    }
    this.report.add(context.prefix, element.tag, 'cross-out', option)
    out.append(encodeElement(element.tag, element.vr, padded(scanned.value, vr), context.encoding))
    return true
  }

  /** The same pseudonym as name and ID keeps one patient's images together (PS3.15 E.1.1); undefined elsewhere. */
  private patientValue(element: Element): Buffer | undefined {
    const { keys, patient } = this.job
    if (element.tag !== TAG.patientId && element.tag !== TAG.patientName) return undefined
    const own =
      element.tag === TAG.patientId ? trimmed(bytesOf(this.job.dataset, element)).trimStart() : patient
    return patient || own ? Buffer.from(pseudonym(keys, own || patient)) : undefined
  }

  private dummy(element: Element): Buffer {
    const vr = vrOf(element)
    if (element.tag === TAG.document) return blankDocument(this.job.mediaType)
    if (vr === 'UI') return this.uids(element)
    return this.patientValue(element) ?? dummyOf(vr, element.valueEnd - element.valueStart)
  }

  /** Every UID of somebody's own replaced; those of the standard stay. */
  private uids(element: Element): Buffer {
    const uids = trimmed(bytesOf(this.job.dataset, element)).split('\\')
    const replaced = uids.map((uid) => {
      const bare = uid.trim()
      return bare === '' || UID_OF_STANDARD.test(bare) ? bare : replaceUid(this.job.keys, bare)
    })
    return Buffer.from(replaced.join('\\'))
  }

  private shifted(element: Element): Buffer {
    const vr = vrOf(element)
    const length = element.valueEnd - element.valueStart
    if (element.tag === TAG.timezone) return this.timezone(element)
    if (!['DA', 'DT', 'TM'].includes(vr)) return dummyOf(vr, length)
    const parts = trimmed(bytesOf(this.job.dataset, element)).split('\\')
    const moved = parts.map((part) => (part.trim() === '' ? '' : shiftDate(part, vr, this.job.shiftDays)))
    // A date that is none is not passed on: it could be anything.
    if (moved.includes(undefined)) return dummyOf(vr, length)
    return Buffer.from(moved.join('\\'))
  }

  /** Times of day stay, and so does what they are counted from. */
  private timezone(element: Element): Buffer {
    const offset = trimmed(bytesOf(this.job.dataset, element))
    return Buffer.from(/^[+-]\d{4}$/.test(offset) ? offset : '+0000')
  }

  private description(element: Element, context: Context): Buffer {
    const vr = vrOf(element)
    const bytes = bytesOf(this.job.dataset, element)
    if (!CHARSET_VRS.has(vr) || vr === 'PN') return dummyOf(vr, bytes.length)
    const cleaned = cleanDescription(
      bytes,
      decodeText(bytes, context.charset),
      this.identifiers,
      LONGEST_TEXT[vr] ?? Number.POSITIVE_INFINITY,
    )
    // What had a value keeps one: it may be of type 1.
    return cleaned.length === 0 && bytes.length > 0 ? dummyOf(vr, bytes.length) : cleaned
  }

  private sequence(element: Element, context: Context, resolved: Resolved, out: Rope): boolean {
    const { action, option } = resolved
    const { dataset, options } = this.job
    // What says that it is a sequence and cannot be read as one is not passed on.
    const unreadable = !element.items && element.valueEnd > element.valueStart
    if (action === 'empty' || unreadable)
      return this.put({ ...element, valueEnd: element.end }, context, resolved, NO_BYTES, out)
    const items = element.items ?? []
    const mark = this.report.lines.length
    const value = new Rope()
    let changed = false
    for (const [at, item] of items.entries()) {
      const inner = itemContext(dataset, context, element, at, resolved, options)
      if (inner.value?.action === 'remove') {
        this.report.lines.push({
          path: inner.prefix.slice(0, -1),
          action: 'remove',
          option: inner.value.option!,
        })
        changed = true
        continue
      }
      if (action === 'dummy' && TELLING_CODES.has(element.tag)) {
        value.append(dummyCode(inner))
        changed = true
      } else changed = this.item(item, inner, value) || changed
    }
    if (!changed) {
      out.copy(element.start, element.end)
      return false
    }
    if (action === 'dummy' && TELLING_CODES.has(element.tag)) {
      this.report.lines.length = mark
      this.report.add(context.prefix, element.tag, action, option)
    }
    if (value.length > LONGEST_VALUE)
      throw new DicomError('invalid_length', element.start, tagName(element.tag))
    out.append(elementHeader(element.tag, element.vr, value.length, context.encoding))
    out.appendAll(value)
    return true
  }

  private item({ elements }: Item, context: Context, out: Rope): boolean {
    const content = new Rope()
    let changed = false
    for (const element of elements) {
      const dummied = context.value?.action === 'dummy' && CONTENT_SEQUENCES.has(element.tag)
      changed =
        (dummied ? this.dummyContent(element, context, content) : this.clean(element, context, content)) ||
        changed
    }
    out.append(itemHeader(content.length, context.encoding))
    out.appendAll(content)
    return changed
  }

  /** A content item's code or measurement that must not stay: a dummy code, an empty measurement; references are replaced. */
  private dummyContent(element: Element, context: Context, out: Rope): boolean {
    if (element.tag === 0x00081199) return this.clean(element, context, out)
    const inner = { ...context, encoding: element.itemEncoding ?? context.encoding }
    const value = element.tag === 0x0040a168 ? dummyCode(inner) : NO_BYTES
    this.report.add(context.prefix, element.tag, 'dummy', 'clean-structured-content')
    out.append(encodeElement(element.tag, element.vr, value, context.encoding))
    return true
  }
}

/** A code that says nothing, in a private coding scheme (PS3.16 8.2). */
function dummyCode({ encoding }: Context): Buffer {
  const text = (tag: number, vr: string, value: string) =>
    encodeElement(tag, vr, padded(Buffer.from(value), vr), encoding)
  return encodeItem(
    Buffer.concat([
      text(0x00080100, 'SH', 'ANON'),
      text(0x00080102, 'SH', '99VIGIL'),
      text(0x00080104, 'LO', 'ANON'),
    ]),
    encoding,
  )
}
