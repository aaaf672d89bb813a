import { Cleaner, type Job } from './clean.js'
import { Collector } from './collect.js'
import { topContext } from './context.js'
import { type Context, Decider, TAG, UID_OF_STANDARD } from './decide.js'
import type { Bytes } from './dicom/bytes.js'
import { type Element, type Instance, textOf, ushortOf } from './dicom/element.js'
import { DicomError } from './dicom/error.js'
import { LIMITS, type Limits } from './dicom/limits.js'
import { parseInstance } from './dicom/parse.js'
import { Rope } from './dicom/rope.js'
import { deflate, encodeElement, encodeHead, paddedText } from './dicom/write.js'
import { blankDocument } from './dummy.js'
import { contradiction } from './options.js'
import { type BurnedIn, type Order, type PixelFinding, POLICIES, UNCHECKED } from './order.js'
import { ENCRYPTED, sealOriginals } from './originals.js'
import { Profile } from './profile.js'
import { type QuarantineReason, quarantineReason } from './quarantine.js'
import { Report, type ReportLine } from './report.js'
import { statement } from './statement.js'
import { dateShiftDays, isPseudonym, isReplacedUid, replaceUid } from './values.js'

/** A cleaned file: its head, then the parts of its data set, of which some are ranges of the source. */
export interface CleanFile {
  length: number
  /** Pieces in order; a megabyte at most where the source is read piece by piece. */
  chunks(): Iterable<Buffer>
}

export type Outcome =
  | {
      kind: 'clean'
      file: CleanFile
      report: ReportLine[]
      burnedIn: BurnedIn
      sopInstanceUid: string
      /** Whether a text, such as the name of the file, tells of somebody in the instance. */
      tellsOf: (text: string) => boolean
    }
  | { kind: 'quarantined'; reason: QuarantineReason; path?: string; report: ReportLine[] }

/** An outcome with the whole file in memory, or why the bytes are no instance that we read. */
export type Deidentified =
  | { kind: 'clean'; bytes: Buffer; report: ReportLine[]; burnedIn: BurnedIn }
  | Exclude<Outcome, { kind: 'clean' }>
  | { kind: 'rejected'; error: DicomError }

type Source = Instance<Bytes>

/** What the patient's pseudonym and date shift are derived from: the ID, else what else tells patients apart. */
function patientOf(source: Source): string {
  const text = (tag: number) => textOf(source, tag) ?? ''
  const id = text(TAG.patientId)
  if (id) return id
  const name = text(TAG.patientName)
  return name ? `${name}|${text(TAG.birthDate)}` : ''
}

/** Only an animal has somebody who answers for it (PS3.3 C.7.1.1: type 2C). */
const isAnimal = (source: Source): boolean =>
  source.elements.some(({ tag }) => tag === 0x00102201 || tag === 0x00102202)

/** Bytes of native pixel data as the header declares them. */
function declaredPixels(source: Source, limits: Limits): number {
  const number = (tag: number) => ushortOf(source, tag) ?? 0
  const frames = Number.parseInt(textOf(source, 0x00280008) ?? '1', 10) || 1
  const bits = number(0x00280010) * number(0x00280011) * (number(0x00280002) || 1) * number(0x00280100)
  const bytes = Math.ceil((bits * Math.max(1, frames)) / 8)
  if (bytes > limits.pixelBytes) throw new DicomError('image_too_large', 0, '00280008')
  return bytes
}

function jobFor(source: Source, order: Order, limits: Limits): Job {
  const patient = patientOf(source)
  return {
    dataset: source.dataset,
    options: order.options,
    keys: order.keys,
    patient,
    shiftDays: dateShiftDays(order.keys, patient),
    mediaType: textOf(source, TAG.mediaType) ?? '',
    nativePixels: declaredPixels(source, limits),
  }
}

/**
 * The top level cleaned, with what we add in its place in the order of tags; elements that came out of order stay so.
 * Where each addition stands among the parts, and which elements changed.
 */
function cleanTop(
  elements: readonly Element[],
  context: Context,
  cleaner: Cleaner,
  additions: ReadonlyMap<number, Buffer>,
): { out: Rope; places: Map<number, number>; changed: Element[] } {
  const out = new Rope()
  const changed: Element[] = []
  const places = new Map<number, number>()
  const pending = [...additions].sort(([a], [b]) => a - b)
  let next = 0
  const add = (before: number) => {
    for (; next < pending.length && pending[next]![0] < before; next++) {
      places.set(pending[next]![0], out.parts.length)
      out.append(pending[next]![1])
    }
  }
  for (const element of elements) {
    add(element.tag)
    if (additions.has(element.tag) || cleaner.clean(element, context, out)) changed.push(element)
  }
  add(Number.POSITIVE_INFINITY)
  return { out, places, changed }
}

/** The UID that the output has. An instance that came without one is named after its place in its series. */
function newSopInstance(source: Source, { keys, options }: Order): string {
  const uid = textOf(source, TAG.sopInstance) || metaText(source, 0x00020003)
  if (!uid) return replaceUid(keys, SERIES_PLACE.map((tag) => textOf(source, tag) ?? '').join('|'))
  return UID_OF_STANDARD.test(uid) || options.includes('retain-uids') ? uid : replaceUid(keys, uid)
}

/** Study, series, acquisition and instance number. */
const SERIES_PLACE = [0x0020000d, 0x0020000e, 0x00200012, 0x00200013]

const metaText = (source: Source, tag: number): string =>
  (source.meta.get(tag)?.toString('latin1') ?? '').replace(/(?<![\0 ])[\0 ]+$/, '')

/** A SOP class is what it says only as a UID: anything else is left out of the meta information. */
function sopClassOf(source: Source): Buffer | undefined {
  const uid = source.meta.get(0x00020002) ?? Buffer.from(textOf(source, TAG.sopClass) ?? '')
  return /^[0-2](\.\d{1,20}){2,20}\0?$/.test(uid.toString('latin1')) ? uid : undefined
}

/** What is added to or put over the top level: the statement, cleaned pixels, the length of a blank document. */
function additionsFor(source: Source, order: Order, finding: PixelFinding): Map<number, Buffer> {
  const additions = statement(order.options, finding, source.encoding)
  for (const [tag, bytes] of finding.elements ?? []) additions.set(tag, bytes)
  if (order.escrow) additions.set(ENCRYPTED, Buffer.alloc(0))
  if (!textOf(source, TAG.sopInstance)) {
    const uid = paddedText(newSopInstance(source, order), 'UI')
    additions.set(TAG.sopInstance, encodeElement(TAG.sopInstance, 'UI', uid, source.encoding))
  }
  if (source.elements.some(({ tag }) => tag === TAG.documentLength)) {
    const length = Buffer.alloc(4)
    const value = blankDocument(textOf(source, TAG.mediaType) ?? '').length
    if (source.encoding.littleEndian) length.writeUInt32LE(value)
    else length.writeUInt32BE(value)
    additions.set(TAG.documentLength, encodeElement(TAG.documentLength, 'UL', length, source.encoding))
  }
  return additions
}

function fileOf(source: Source, order: Order, finding: PixelFinding, cleaned: Rope): CleanFile {
  const head = encodeHead({
    sopClass: sopClassOf(source),
    sopInstanceUid: newSopInstance(source, order),
    transferSyntax: finding.transferSyntax ?? source.transferSyntax,
  })
  if (source.deflated) {
    const body = deflate(cleaned.toBuffer(source.dataset))
    return { length: head.length + body.length, chunks: () => [head, body] }
  }
  const file = new Rope()
  file.append(head)
  file.appendAll(cleaned)
  return { length: file.length, chunks: () => file.chunks(source.dataset) }
}

/**
 * De-identifies a parsed instance by the Basic Profile of DICOM PS3.15 Annex E (edition 2026c) and the options asked
 * for. Apart from the escrow's random numbers a function of its input: the same instance, order and finding give the
 * same file. `finding` says what looking at the pixels found; without it, kinds of images that may hold text are
 * quarantined. Throws DicomError for what is malformed, Error for options that exclude each other.
 */
export function deidentifyInstance(source: Source, order: Order, finding: PixelFinding = UNCHECKED): Outcome {
  const conflict = contradiction(order.options)
  if (conflict) throw new Error(conflict)
  const { options, keys } = order
  const policies = { ...POLICIES, ...order.policies }
  const job = jobFor(source, order, order.limits ?? LIMITS)
  const reason = quarantineReason(source, policies, finding)
  if (reason) return { kind: 'quarantined', reason, report: [] }
  const sopClass = textOf(source, TAG.sopClass) ?? ''
  const decider = new Decider(new Profile(options), sopClass, policies, finding, isAnimal(source))
  const context = topContext(source.dataset, source.elements, source.encoding, options)
  const isOurs = (value: string) => isPseudonym(keys, value) || isReplacedUid(keys, value)
  const collector = new Collector(source.dataset, decider, options, isOurs)
  collector.collect(source.elements, context)
  const report = new Report()
  const cleaner = new Cleaner(job, decider, collector.identifiers, collector.people, report)
  const additions = additionsFor(source, order, finding)
  for (const tag of finding.elements?.keys() ?? []) report.add('', tag, 'replace-pixels')
  const { out, places, changed } = cleanTop(source.elements, context, cleaner, additions)
  const [left] = cleaner.left
  if (left) return { kind: 'quarantined', reason: 'identifier_left', path: left, report: report.lines }
  if (order.escrow)
    out.insert(places.get(ENCRYPTED)!, sealOriginals(source.dataset, changed, source.encoding, order.escrow))
  return {
    kind: 'clean',
    file: fileOf(source, order, finding, out),
    report: report.lines,
    burnedIn: finding.burnedIn,
    sopInstanceUid: newSopInstance(source, order),
    tellsOf: (text) => collector.identifiers.find(text).length > 0,
  }
}

/** De-identifies a whole file in memory. */
export function deidentify(bytes: Buffer, order: Order, finding: PixelFinding = UNCHECKED): Deidentified {
  try {
    const outcome = deidentifyInstance(parseInstance(bytes, order.limits ?? LIMITS), order, finding)
    if (outcome.kind !== 'clean') return outcome
    const { file, report, burnedIn } = outcome
    return { kind: 'clean', report, burnedIn, bytes: Buffer.concat([...file.chunks()], file.length) }
  } catch (error) {
    if (error instanceof DicomError) return { kind: 'rejected', error }
    throw error
  }
}
