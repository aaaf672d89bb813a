import { decodeBase64 } from '../merkle/base64.js'
import { HASH_LENGTH } from '../merkle/hash.js'
import { readableEntry } from './readable.js'

/** What a line is written of. */
export interface WrittenEntry {
  index: number
  /** The hashed bytes; left out where the entry may not be shown. */
  body?: Buffer
  leaf?: Buffer
  proof?: readonly Buffer[]
}

const base64 = (bytes: Buffer) => bytes.toString('base64')

/** One line of an export, without its newline; `readable` adds the body as JSON. */
export function entryLine({ index, body, leaf, proof }: WrittenEntry, readable: boolean): string {
  const entry = body && readable ? readableEntry(body)?.toString('utf8') : undefined
  return [
    `{"log_index":${index}`,
    body ? `"body":"${base64(body)}"` : undefined,
    leaf ? `"leaf":"${base64(leaf)}"` : undefined,
    entry ? `"entry":${entry}` : undefined,
    proof ? `"proof":${JSON.stringify(proof.map(base64))}` : undefined,
  ]
    .filter((member) => member !== undefined)
    .join(',')
    .concat('}')
}

/** A line of an export as `entryLine` writes it, read. */
export interface ReadLine {
  index: number
  body?: Buffer
  leaf?: Buffer
  proof?: Buffer[]
}

/** Reads forward through the bytes of a line. */
class Scanner {
  private at = 0
  constructor(private readonly line: Buffer) {}

  /** Passes over exactly these bytes, or stays where it is. */
  take(expected: Buffer): boolean {
    const found = this.line.subarray(this.at, this.at + expected.length).equals(expected)
    if (found) this.at += expected.length
    return found
  }

  /** The text up to a byte, which is passed over too; undefined where it does not come. */
  until(byte: number): string | undefined {
    const end = this.line.indexOf(byte, this.at)
    if (end < 0) return undefined
    const text = this.line.toString('latin1', this.at, end)
    this.at = end + 1
    return text
  }

  digits(): number | undefined {
    const start = this.at
    while (this.line[this.at]! >= 0x30 && this.line[this.at]! <= 0x39) this.at++
    const text = this.line.toString('latin1', start, this.at)
    const value = Number(text)
    return Number.isSafeInteger(value) && String(value) === text ? value : undefined
  }

  isAtEnd = (): boolean => this.at === this.line.length
}

const QUOTE = 0x22
const BRACKET = 0x5d
const INDEX = Buffer.from('{"log_index":')
const BODY = Buffer.from(',"body":"')
const LEAF = Buffer.from(',"leaf":"')
const ENTRY = Buffer.from(',"entry":')
const PROOF = Buffer.from(',"proof":[')
const END = Buffer.from('}')

function readHash(text: string | undefined): Buffer | undefined {
  const bytes = decodeBase64(text ?? '')
  return bytes?.length === HASH_LENGTH ? bytes : undefined
}

function readProof(text: string): Buffer[] | undefined {
  const items = text === '' ? [] : text.split(',')
  const hashes = items.map((item) => (/^".*"$/.test(item) ? readHash(item.slice(1, -1)) : undefined))
  return hashes.length <= 64 && hashes.every((hash) => hash !== undefined) ? hashes : undefined
}

/**
 * Reads a line that is exactly what `entryLine` writes, its JSON for the reader saying what the body says; undefined
 * for any other. One spelling alone is accepted: two readers could take a freer one for two different things.
 */
export function readEntryLine(line: Buffer): ReadLine | undefined {
  const scanner = new Scanner(line)
  const index = scanner.take(INDEX) ? scanner.digits() : undefined
  if (index === undefined) return undefined
  const read: ReadLine = { index }
  if (scanner.take(BODY)) {
    const body = decodeBase64(scanner.until(QUOTE) ?? '\0')
    if (!body) return undefined
    read.body = body
  }
  if (scanner.take(LEAF)) {
    const leaf = readHash(scanner.until(QUOTE))
    if (!leaf) return undefined
    read.leaf = leaf
  }
  if (scanner.take(ENTRY)) {
    const entry = read.body && readableEntry(read.body)
    if (!entry || !scanner.take(entry)) return undefined
  }
  if (scanner.take(PROOF)) {
    const proof = readProof(scanner.until(BRACKET) ?? '\0')
    if (!proof) return undefined
    read.proof = proof
  }
  const whole = scanner.take(END) && scanner.isAtEnd() && (read.body ?? read.leaf) !== undefined
  return whole ? read : undefined
}
