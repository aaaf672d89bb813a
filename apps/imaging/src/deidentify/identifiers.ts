import { writtenForms } from './dates.js'
import { type Folded, fold, sourceRange } from './fold.js'
import { memo } from './memo.js'
import { isMedical } from './vocabulary.js'

/** Shortest run that tells of somebody wherever it stands, also within another word. */
const GRAM = 6
const LEAST_NAME = 3
const LEAST_WORD = 4
const LEAST_DIGITS = 5
/** Stand-ins for a value, ours among them, and makers whose names stand in every header. */
const COMMON = new Set(
  (
    'ANON ANONYMOUS ANONYMIZED ANONYMISED UNKNOWN NONE OTHER UNDEFINED NULL TEST TESTS PATIENT NAME DUMMY REMOVED DEFAULT 19000101 000000 XXXX ' +
    'SIEMENS PHILIPS TOSHIBA CANON HITACHI FUJIFILM SAMSUNG AGFA KODAK HOLOGIC HEALTHCARE HEALTHINEERS VIGIL ORIGINAL PRIMARY DERIVED SECONDARY AXIAL'
  ).split(' '),
)
const TOKEN = /[\p{L}\p{N}]+/gu
const EASTERN = /[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]/
const DATE_LIKE =
  /\d{8}|\d{1,4}[-./ ]\d{1,2}[-./ ]\d{1,4}|\d{1,2}[-./ ]?[A-Z]{3}[-./ ]?\d{4}|[A-Z]{3} \d{1,2}, \d{4}/g
const UID_LIKE = /(?<![0-9])[0-9]+(?:\.[0-9]+){3,}/g

/** What separates the parts of a name, escape sequences of ISO 2022 among it. */
const WRITTEN_PARTS = /[\^=\\ ]|\p{Cc}(?:\$\(?[A-D@]|\$\)[A-C]|[()-][A-Za-z])?/u

const isCommon = (word: string): boolean => COMMON.has(word) || isMedical(word)
const tokensOf = (folded: string): string[] => folded.match(TOKEN) ?? []

/** The images of one study share their dates. */
const formsOf = memo(writtenForms, 64)

/** Half-open range of UTF-16 units. */
export type Range = [from: number, to: number]

/** Everything in an instance that tells who it is of, gathered before it is cleaned. */
export class Identifiers {
  /** Folded words that count where they stand alone. */
  private readonly words = new Set<string>()
  /** Of those, words that are of medicine, too: a code (CS) may mean the other thing. */
  private readonly ambiguous = new Set<string>()
  /** Folded strings that count also within others. */
  private readonly strong = new Set<string>()
  private readonly grams = new Set<string>()
  private readonly dates = new Set<string>()
  private readonly uids = new Set<string>()
  /** Dates as in DA, and numbers: what may stand in numeric values. */
  private readonly numeric = new Set<string>()

  /** Names as their own character set writes them. */
  readonly writtenNames: Buffer[] = []

  /** The parts of a name that is not plain ASCII, in bytes. */
  addWritten(value: Buffer): void {
    for (const part of value.toString('latin1').split(WRITTEN_PARTS))
      if (part.length >= GRAM) this.writtenNames.push(Buffer.from(part, 'latin1'))
  }

  private addStrong(text: string): void {
    if (this.strong.has(text)) return
    this.strong.add(text)
    for (let at = 0; at + GRAM <= text.length; at++) this.grams.add(text.slice(at, at + GRAM))
  }

  /** A person's name (PN): each part, and the parts run together. */
  addName(value: string): void {
    for (const group of fold(value).text.split('=')) {
      const parts = tokensOf(group).filter((part) => !COMMON.has(part) && !/^\d+$/.test(part))
      for (const part of parts) this.addNamePart(part)
      const [family = '', given = ''] = parts
      if (!family || !given) continue
      for (const joined of [family + given, given + family, family + given[0], given[0] + family])
        if (joined.length >= LEAST_NAME) this.addNamePart(joined)
    }
  }

  private addNamePart(part: string): void {
    const eastern = EASTERN.test(part)
    if (part.length < (eastern ? 2 : LEAST_NAME)) return
    this.words.add(part)
    if (isMedical(part)) this.ambiguous.add(part)
    else if (eastern || part.length >= GRAM) this.addStrong(part)
  }

  /** An ID, an institution, an address, a phone or serial number: each telling word of it, and the whole. */
  addText(value: string): void {
    const folded = fold(value).text.trim()
    const tokens = tokensOf(folded)
    for (const token of tokens) this.addToken(token)
    if (tokens.length < 2 || folded.length > 64) return
    const compact = tokens.join('')
    // Numbers written in groups; names made of common words only.
    if (/\d/.test(folded) ? compact.length >= GRAM : compact.length >= 8 && tokens.every(isCommon)) {
      if (!tokens.every((token) => COMMON.has(token))) this.strong.add(folded)
      if (/\d{4}/.test(compact) && !tokens.some(isCommon)) this.addStrong(compact)
    }
  }

  private addToken(token: string): void {
    if (isCommon(token)) return
    const digits = /^\d+$/.test(token)
    if (token.length < (digits ? LEAST_DIGITS : EASTERN.test(token) ? 2 : LEAST_WORD)) return
    this.words.add(token)
    if (digits) this.numeric.add(token)
    if (token.length >= GRAM || EASTERN.test(token)) this.addStrong(token)
    for (const run of token.match(/\d{6,}/g) ?? []) {
      this.addStrong(run)
      this.numeric.add(run)
    }
  }

  /** The numbers of a description: its words are of medicine. */
  addNumbers(value: string): void {
    for (const run of value.match(/\d{5,}/g) ?? []) this.addToken(run)
  }

  /** A DA or DT value. */
  addDate(value: string): void {
    const forms = formsOf(value)
    const [date] = forms
    if (!date || COMMON.has(date) || this.dates.has(date)) return
    for (const form of forms) this.dates.add(form)
    this.numeric.add(date)
    for (let at = 0; at + GRAM <= date.length; at++) this.grams.add(date.slice(at, at + GRAM))
  }

  addUid(uid: string): void {
    if (uid.length >= 8) this.uids.add(uid)
  }

  /** Whether a number or date written in characters is one of them. */
  hasNumber(value: string): boolean {
    const text = value.trim()
    return this.numeric.has(text) || (text.length > 8 && this.dates.has(text.slice(0, 8)))
  }

  /** Ranges of a text that tell of somebody; in a code (CS) words of medicine are what they say. */
  find(text: string, { isCode = false } = {}): Range[] {
    const folded = fold(text)
    const ranges: Range[] = []
    const hit = (from: number, to: number) => ranges.push(sourceRange(folded, from, to))
    this.findWords(folded, isCode, hit)
    for (const needle of this.strong)
      for (let at = folded.text.indexOf(needle); at >= 0; at = folded.text.indexOf(needle, at + 1))
        hit(at, at + needle.length)
    if (/\d/.test(folded.text)) this.findNumbers(folded.text, hit)
    return ranges
  }

  private findWords({ text }: Folded, isCode: boolean, hit: (from: number, to: number) => void): void {
    for (const match of text.matchAll(TOKEN)) {
      const token = match[0]
      const known = this.words.has(token) && !(isCode && this.ambiguous.has(token))
      if (known || (token.length >= GRAM && !isCommon(token) && this.hasGram(token)))
        hit(match.index, match.index + token.length)
    }
  }

  private hasGram(token: string): boolean {
    for (let at = 0; at + GRAM <= token.length; at++)
      if (this.grams.has(token.slice(at, at + GRAM))) return true
    return false
  }

  private findNumbers(text: string, hit: (from: number, to: number) => void): void {
    for (const match of text.matchAll(DATE_LIKE))
      if (this.dates.has(match[0])) hit(match.index, match.index + match[0].length)
    for (const match of text.matchAll(UID_LIKE))
      for (const uid of this.uids) if (match[0].includes(uid)) hit(match.index, match.index + match[0].length)
  }

  /** Strings to look for in values that are not text. */
  needles(): string[] {
    const long = [...this.strong, ...this.uids].filter((text) => text.length >= GRAM)
    return [...long, ...[...this.numeric].filter((number) => number.length >= 8)]
  }
}
