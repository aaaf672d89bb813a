import {
  bytesOf,
  type Element,
  type Encoding,
  type Instance,
  isPrivate,
  tagName,
  textOf,
} from './dicom/element.js'
import { DicomError } from './dicom/error.js'
import { LIMITS, type Limits, parseInstance } from './dicom/parse.js'
import { encodeElement, encodeFile, encodeItem, paddedText } from './dicom/write.js'
import {
  type Action,
  contradiction,
  isDescription,
  type Option,
  resolveAction,
  standardVr,
} from './profile.js'
import { type QuarantineReason, quarantineReason } from './quarantine.js'
import { crossOut, identifiersIn, isText, residue } from './residue.js'
import { METHOD, statement } from './statement.js'
import {
  type DeidentificationKeys,
  dateShiftDays,
  dummyOf,
  pseudonym,
  replaceUid,
  shiftDate,
} from './values.js'

/** What to do, and with which keys. */
export interface Order {
  options: readonly Option[]
  keys: DeidentificationKeys
  limits?: Limits
}

/** One thing that was done: where, what, by which option. Never a value. */
export interface ReportLine {
  path: string
  action: Action | 'cross-out'
  option?: Option
}

export type { QuarantineReason }

export type Deidentified =
  | { kind: 'clean'; bytes: Buffer; report: ReportLine[] }
  | { kind: 'quarantined'; reason: QuarantineReason; path?: string; report: ReportLine[] }
  | { kind: 'rejected'; error: DicomError }

const TAG = {
  sopInstance: 0x00080018,
  patientName: 0x00100010,
  patientId: 0x00100020,
  trailingPadding: 0xfffcfffc,
} as const

const UID_OF_STANDARD = /^1\.2\.840\.10008\./

interface Work {
  source: Buffer
  order: Order
  patientId: string
  shiftDays: number
  report: ReportLine[]
  /** Upper-case words of everything that was taken out. */
  identifiers: Set<string>
}

const vrOf = (element: Element): string => (element.vr === 'UN' ? standardVr(element.tag) : element.vr)

function remember(work: Work, element: Element): void {
  if (element.items) {
    for (const item of element.items) for (const inner of item.elements) remember(work, inner)
    return
  }
  const vr = vrOf(element)
  if (
    element.tag === 0x7fe00010 ||
    element.valueEnd - element.valueStart > 4096 ||
    ['TM', 'IS', 'DS', 'AS'].includes(vr)
  )
    return
  if (isPrivate(element.tag) || vr === 'CS') return
  // Descriptions hold words of medicine besides names: of those only the numbers are looked for elsewhere.
  const numbersOnly = isDescription(element.tag)
  for (const word of identifiersIn(bytesOf(work.source, element))) {
    if (!numbersOnly || /^\d+$/.test(word)) work.identifiers.add(word.toUpperCase())
  }
}

/** A value's parts, each replaced where it is a UID of somebody's own. */
function replaceUids(work: Work, value: Buffer): Buffer {
  const uids = value
    .toString('latin1')
    .replace(/[\0 ]+$/, '')
    .split('\\')
  const replaced = uids.map((uid) =>
    uid === '' || UID_OF_STANDARD.test(uid) ? uid : replaceUid(work.order.keys, uid.trim()),
  )
  return paddedText(replaced.join('\\'), 'UI')
}

function shifted(work: Work, element: Element, vr: string): Buffer {
  const parts = bytesOf(work.source, element)
    .toString('latin1')
    .replace(/[\0 ]+$/, '')
    .split('\\')
  const moved = parts.map((part) => (part === '' ? '' : (shiftDate(part, vr, work.shiftDays) ?? '')))
  return paddedText(moved.join('\\'), vr)
}

function dummy(element: Element, vr: string, encoding: Encoding): Buffer {
  if (vr === 'SQ') return encodeItem(Buffer.alloc(0), encoding)
  const value = dummyOf(vr, element.valueEnd - element.valueStart)
  return typeof value === 'string' ? paddedText(value, vr) : value
}

/** The sequence again with its items cleaned, all lengths defined. */
function cleanSequence(work: Work, element: Element, encoding: Encoding, path: string): Buffer {
  const inner = element.itemEncoding ?? encoding
  const items = element.items!.map((item, at) =>
    encodeItem(cleanElements(work, item.elements, inner, `${path}[${at}].`), inner),
  )
  const value = Buffer.concat(items)
  return encodeElement(element.tag, element.vr, value, encoding)
}

function cleanElement(work: Work, element: Element, encoding: Encoding, prefix: string): Buffer {
  const path = prefix + tagName(element.tag)
  const isGroupLength = (element.tag & 0xffff) === 0
  if (isGroupLength || element.tag === TAG.trailingPadding) return Buffer.alloc(0)
  const vr = vrOf(element)
  const isSequence = element.items !== undefined || vr === 'SQ'
  const listed = resolveAction(element.tag, work.order.options, isSequence)
  const { action, option } = listed ?? {
    action: vr === 'UI' && !isSequence ? 'uid' : 'keep',
    option: undefined,
  }
  const replaceBy = (value: Buffer) => {
    work.report.push({ path, action, ...(option ? { option } : {}) })
    if (action !== 'uid' && action !== 'shift-date') remember(work, element)
    return encodeElement(element.tag, element.vr, value, encoding)
  }
  switch (action) {
    case 'remove':
      replaceBy(Buffer.alloc(0))
      return Buffer.alloc(0)
    case 'empty':
      return replaceBy(patientValue(work, element) ?? Buffer.alloc(0))
    case 'dummy':
      return replaceBy(patientValue(work, element) ?? dummy(element, vr, element.itemEncoding ?? encoding))
    case 'uid':
      return isSequence
        ? cleanSequence(work, element, encoding, path)
        : replaceUidOf(work, element, encoding, path, option)
    case 'shift-date':
      return replaceBy(shifted(work, element, vr))
    case 'items-only':
    case 'keep':
      return element.items
        ? cleanSequence(work, element, encoding, path)
        : work.source.subarray(element.start, element.end)
    default:
      return action satisfies never
  }
}

/** Only UIDs that change are reported: those of the standard (SOP classes, syntaxes) stay. */
function replaceUidOf(
  work: Work,
  element: Element,
  encoding: Encoding,
  path: string,
  option: Option | undefined,
): Buffer {
  const value = replaceUids(work, bytesOf(work.source, element))
  if (value.equals(bytesOf(work.source, element))) return work.source.subarray(element.start, element.end)
  for (const word of identifiersIn(bytesOf(work.source, element))) work.identifiers.add(word)
  work.report.push({ path, action: 'uid', ...(option ? { option } : {}) })
  return encodeElement(element.tag, element.vr, value, encoding)
}

/** The same pseudonym as name and ID keeps one patient's images together (PS3.15 E.1.1); undefined elsewhere. */
function patientValue(work: Work, { tag }: Element): Buffer | undefined {
  const isPatient = tag === TAG.patientId || tag === TAG.patientName
  return isPatient && work.patientId
    ? paddedText(pseudonym(work.order.keys, work.patientId), 'LO')
    : undefined
}

const cleanElements = (work: Work, elements: Element[], encoding: Encoding, prefix: string): Buffer =>
  Buffer.concat(elements.map((element) => cleanElement(work, element, encoding, prefix)))

/** The top level: every element cleaned, the statement in its place in the order of tags. */
function cleanDataset(work: Work, { elements, encoding }: Instance): Buffer {
  const additions = statement(work.order.options, encoding)
  const cleaned = elements
    .filter((element) => !additions.has(element.tag))
    .map((element) => [element.tag, cleanElement(work, element, encoding, '')] as const)
  // Stable: elements out of order in the input stay as they were.
  const parts: Buffer[] = []
  const pending = [...additions].sort(([a], [b]) => a - b)
  for (const [tag, bytes] of cleaned) {
    while (pending.length > 0 && pending[0]![0] < tag) parts.push(pending.shift()![1])
    parts.push(bytes)
  }
  return Buffer.concat([...parts, ...pending.map(([, bytes]) => bytes)])
}

/** Crosses identifying words out of the text that stayed; what cannot be changed so is named. */
function cleanResidue(work: Work, instance: Instance): { dataset: Buffer; left: string[] } {
  const dataset = Buffer.from(instance.dataset)
  const visit = (elements: Element[], prefix: string) => {
    for (const element of elements) {
      const path = prefix + tagName(element.tag)
      element.items?.forEach((item, at) => {
        visit(item.elements, `${path}[${at}].`)
      })
      if (element.items || element.tag === METHOD || !isText(vrOf(element), bytesOf(dataset, element)))
        continue
      const crossed = crossOut(bytesOf(dataset, element), work.identifiers)
      if (!crossed) continue
      crossed.copy(dataset, element.valueStart)
      work.report.push({ path, action: 'cross-out' })
    }
  }
  visit(instance.elements, '')
  return { dataset, left: residue({ dataset, elements: instance.elements }, work.identifiers) }
}

/**
 * De-identifies one instance by the Basic Profile of DICOM PS3.15 Annex E (edition 2026c) and the options asked for.
 * Pure: the same bytes, options and keys always give the same result. Text burned into pixels is not looked for: kinds
 * of images that may hold some are quarantined.
 */
export function deidentify(bytes: Buffer, order: Order): Deidentified {
  const conflict = contradiction(order.options)
  if (conflict) throw new Error(conflict)
  try {
    const instance = parseInstance(bytes, order.limits ?? LIMITS)
    const patientId = textOf(instance, TAG.patientId) ?? ''
    const work: Work = {
      source: instance.dataset,
      order,
      patientId,
      shiftDays: dateShiftDays(order.keys, patientId),
      report: [],
      identifiers: new Set(),
    }
    const reason = quarantineReason(instance)
    if (reason) return { kind: 'quarantined', reason, report: [] }
    const cleaned = cleanDataset(work, instance)
    const reparsed = parseInstance(
      encodeFile({ ...instance, deflated: false, transferSyntax: plainSyntax(instance) }, '2.25.1', cleaned),
      order.limits ?? LIMITS,
    )
    const { dataset, left } = cleanResidue(work, reparsed)
    if (left.length > 0)
      return { kind: 'quarantined', reason: 'identifier_left', path: left[0]!, report: work.report }
    const sopInstance = textOf({ dataset, elements: reparsed.elements }, TAG.sopInstance) ?? ''
    return { kind: 'clean', bytes: encodeFile(instance, sopInstance, dataset), report: work.report }
  } catch (error) {
    if (error instanceof DicomError) return { kind: 'rejected', error }
    throw error
  }
}

const plainSyntax = ({ deflated, transferSyntax }: Instance): string =>
  deflated ? '1.2.840.10008.1.2.1' : transferSyntax
