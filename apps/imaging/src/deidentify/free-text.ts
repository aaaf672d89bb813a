import type { Decoded } from './dicom/charset.js'
import type { Identifiers, Range } from './identifiers.js'
import { isUseful } from './vocabulary.js'

/** After these a name follows. */
const TITLES = new Set('MRS MISS PROF PROFESSOR HERR FRAU MME SRA SENOR SENORA NURSE SISTER'.split(' '))
/** These are modalities and a disease, too, where they are all capitals without a dot. */
const TITLE = /^(?:Dr|Mr|Ms|(?:DR|MR|MS)\.$)/
const WORD = /[^\s\\^=,;:()[\]{}<>"'|?!@#%&~`]+/g
const PART = /[^-/_+]+/g

/** What in a text looks like it tells of somebody, whoever it is (E.3.6): dates, phones, addresses, labelled IDs, titled names. */
const PATTERNS: readonly RegExp[] = [
  /(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+/g,
  /\b(?:19|20)\d{2}([-/])\d{1,2}\1\d{1,2}\b/g,
  /\b\d{1,2}([-/])\d{1,2}\1(?:19|20)\d{2}\b/g,
  /\b\d{2}\.\d{2}\.(?:19|20)\d{2}\b/g,
  /\b\d{1,2}[ -]?(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*[ ,-]*(?:19|20)\d{2}\b/gi,
  /\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]* \d{1,2},? (?:19|20)\d{2}\b/gi,
  /\b\d{3}-\d{2}-\d{4}\b/g,
  /\+\d[\d ()/-]{7,}\d/g,
  /\(\d{3}\) ?\d{3}[-. ]\d{4}\b/g,
  /\b\d{3}[-.]\d{3}[-.]\d{4}\b/g,
  /(?<=\b(?:Dr|Mr|Ms|Mrs|MRS|Prof|PROF)\.? |\b(?:DR|MR|MS)\. )\p{Lu}[\p{L}'-]+/gu,
  /(?<=\b(?:mrn|ssn|dob|accession|patient id|pat id)\b[:#= ]{1,3})[\w.-]*\d[\w.-]*/gi,
]

/** Without one of these none of the patterns matches. */
const HINT = /[@\d]|\b(?:D[rR]|M[rRsS]|M[rR][sS]|P(?:rof|ROF))\b/

/** Ranges of a kept text that look like they tell of somebody. */
export function suspicious(text: string): Range[] {
  if (text.length < 5 || !HINT.test(text)) return []
  return PATTERNS.flatMap((pattern) =>
    [...text.matchAll(pattern)].map((match): Range => [match.index, match.index + match[0].length]),
  )
}

const overlaps = (ranges: readonly Range[], from: number, to: number): boolean =>
  ranges.some(([start, end]) => start < to && from < end)

/** Ranges of the words of a value that are worth keeping and tell of nobody. */
function usefulWords(text: string, identifiers: Identifiers): Range[] {
  const telling = [...identifiers.find(text), ...suspicious(text)]
  const kept: Range[] = []
  let afterTitle = false
  for (const word of text.matchAll(WORD)) {
    if (afterTitle) {
      afterTitle = false
      continue
    }
    const bare = word[0].replace(/(?<!\.)\.+$/, '')
    if (TITLES.has(bare.toUpperCase()) || (bare.length === 2 && TITLE.test(word[0]))) {
      afterTitle = true
      continue
    }
    const whole: Range = [word.index, word.index + bare.length]
    if (isUseful(bare) && !overlaps(telling, ...whole)) {
      kept.push(whole)
      continue
    }
    for (const part of bare.matchAll(PART)) {
      const range: Range = [word.index + part.index, word.index + part.index + part[0].length]
      if (isUseful(part[0]) && !overlaps(telling, ...range)) kept.push(range)
    }
  }
  return kept
}

const SPACE = Buffer.from(' ')
const isAscii = (text: string): boolean => /^[\x20-\x7e]*$/.test(text)

/**
 * Reduces descriptions to their words of medicine, sizes and weightings (Clean Descriptors Option, PS3.15 E.3.5):
 * what is not known to be harmless goes, names, numbers and dates among it. Bytes of kept words are those of the input;
 * each value ends before `longest` characters are over.
 */
export function cleanDescription(
  bytes: Buffer,
  decoded: Decoded,
  identifiers: Identifiers,
  longest: number,
): Buffer {
  const { text, starts } = decoded
  const escaped = starts !== undefined && bytes.includes(0x1b)
  const values: Buffer[] = []
  let at = 0
  for (const value of text.split('\\')) {
    const words: Buffer[] = []
    let length = 0
    for (const [from, to] of usefulWords(value, identifiers)) {
      // In the middle of an escape sequence's reach bytes do not stand for themselves.
      if (escaped && !isAscii(value.slice(from, to))) continue
      length += to - from + 1
      if (length > longest + 1) break
      const [start, end] = starts ? [starts[at + from]!, starts[at + to]!] : [at + from, at + to]
      if (words.length > 0) words.push(SPACE)
      words.push(escaped ? Buffer.from(value.slice(from, to)) : bytes.subarray(start, end))
    }
    values.push(Buffer.concat(words))
    at += value.length + 1
  }
  const joined: Buffer[] = []
  for (const [index, value] of values.entries()) {
    if (index > 0) joined.push(Buffer.from('\\'))
    joined.push(value)
  }
  return values.every((value) => value.length === 0) ? Buffer.alloc(0) : Buffer.concat(joined)
}
