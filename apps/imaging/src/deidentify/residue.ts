import type { Element, Instance } from './dicom/element.js'
import { bytesOf, isPrivate, tagName } from './dicom/element.js'

/** Shortest run of letters, and of digits, that identifies: shorter ones stand in every file. */
const LEAST_LETTERS = 4
const LEAST_DIGITS = 6
/** Our own dummy date, and words of the field that also stand in names of hospitals and devices. */
const COMMON = new Set(
  (
    'HOSPITAL MEDICAL CENTER CENTRE CLINIC RADIOLOGY IMAGING SYSTEMS SIEMENS PHILIPS TOSHIBA ANON ANONYMOUS ANONYMIZED UNKNOWN NONE OTHER ' +
    '19000101 HEALTH UNIVERSITY SCAN STUDY HEAD CHEST TEST BRAIN SPINE KNEE NECK PELVIS ABDOMEN ORIGINAL PRIMARY AXIAL'
  ).split(' '),
)

/** The identifying words of a value: parts of names, numbers, dates; in the bytes of its own character set. */
export function identifiersIn(value: Buffer): string[] {
  const words = value.toString('latin1').split(/[\s\0\\^=,;:/()[\]<>&"'_|+*?!@#%-]+/)
  return words.filter((word) => {
    if (/^[\d.]+$/.test(word))
      return (
        word.replaceAll('.', '').length >= LEAST_DIGITS &&
        !COMMON.has(word) &&
        !word.startsWith('1.2.840.10008.')
      )
    return word.length >= LEAST_LETTERS && !COMMON.has(word.toUpperCase())
  })
}

const WORD = /[A-Za-z0-9\u0080-\u00ff]/

/** Where a word stands by itself in text, not within another word or number. */
export function findWord(text: string, word: string): number {
  for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + 1)) {
    const [before, after] = [text[at - 1] ?? ' ', text[at + word.length] ?? ' ']
    if (!WORD.test(before) && !WORD.test(after)) return at
  }
  return -1
}

/** VRs whose values people read: a hit there is blotted out. In any other the instance is quarantined. */
const TEXT_VRS = new Set(['LO', 'LT', 'SH', 'ST', 'UT', 'UC', 'PN', 'CS', 'AE'])

/** A value with every identifying word crossed out, or undefined where there was none. */
export function crossOut(value: Buffer, identifiers: ReadonlySet<string>): Buffer | undefined {
  let text = value.toString('latin1')
  let changed = false
  for (const word of identifiersIn(value)) {
    if (!identifiers.has(word.toUpperCase())) continue
    for (let at = findWord(text, word); at >= 0; at = findWord(text, word)) {
      text = text.slice(0, at) + 'X'.repeat(word.length) + text.slice(at + word.length)
      changed = true
    }
  }
  return changed ? Buffer.from(text, 'latin1') : undefined
}

/** Whether people read the value: by its VR, or, where the encoding tells none, because it is all printable. */
export const isText = (vr: string, value: Buffer): boolean =>
  TEXT_VRS.has(vr) ||
  (vr === 'UN' && value.every((byte) => (byte >= 0x20 && byte !== 0x7f) || byte === 0x0a || byte === 0x0d))

/** Tags of remaining elements, pixel data apart, that still hold an identifier. */
export function residue(
  { dataset, elements }: Pick<Instance, 'dataset' | 'elements'>,
  identifiers: ReadonlySet<string>,
  prefix = '',
): string[] {
  return elements.flatMap((element: Element): string[] => {
    // Pixel data, private elements that stayed, and our own statement of the method (0012,0063), which are not the sender's.
    if (element.tag === 0x7fe00010 || element.tag === 0x00120063 || isPrivate(element.tag)) return []
    const path = prefix + tagName(element.tag)
    if (element.items) {
      return element.items.flatMap((item, at) =>
        residue({ dataset, elements: item.elements }, identifiers, `${path}[${at}].`),
      )
    }
    const found = identifiersIn(bytesOf(dataset, element)).some((word) => identifiers.has(word.toUpperCase()))
    return found ? [path] : []
  })
}
