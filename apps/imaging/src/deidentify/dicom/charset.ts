import { isAscii } from 'node:buffer'
import { TextDecoder } from 'node:util'

/** Text of a value, and where each of its UTF-16 units stands in the bytes; without `starts` one byte is one unit. */
export interface Decoded {
  text: string
  /** Start of each unit, then the end. Units of one character share a start. */
  starts?: Uint32Array
  /** Units in a double-byte set that is invoked in place of ASCII (ISO 2022 IR 87, IR 159). */
  doubled?: Uint8Array
}

type Kind = 'single' | 'utf-8' | 'gb18030' | 'g1-pairs' | 'g0-pairs'
export interface CodeSet {
  label: string
  kind: Kind
}

const single = (label: string): CodeSet => ({ label, kind: 'single' })
const ASCII = single('windows-1252')
/** Defined terms of Specific Character Set (0008,0005) by the number in them (PS3.3 C.12.1.1.2). */
const BY_TERM: Record<string, CodeSet> = {
  '6': ASCII,
  '100': ASCII,
  '101': single('iso-8859-2'),
  '109': single('iso-8859-3'),
  '110': single('iso-8859-4'),
  '144': single('iso-8859-5'),
  '127': single('iso-8859-6'),
  '126': single('iso-8859-7'),
  '138': single('iso-8859-8'),
  '148': single('windows-1254'),
  '203': single('iso-8859-15'),
  '13': single('shift_jis'),
  '166': single('windows-874'),
  '192': { label: 'utf-8', kind: 'utf-8' },
  '149': { label: 'euc-kr', kind: 'g1-pairs' },
  '58': { label: 'gbk', kind: 'g1-pairs' },
  GB18030: { label: 'gb18030', kind: 'gb18030' },
  GBK: { label: 'gb18030', kind: 'gb18030' },
}
/** Escape sequences of ISO 2022 (PS3.3 tables C.12-3 and C.12-4). */
const BY_ESCAPE: Record<string, CodeSet> = {
  '(B': ASCII,
  '(J': single('shift_jis'),
  ')I': single('shift_jis'),
  '-A': ASCII,
  '-B': single('iso-8859-2'),
  '-C': single('iso-8859-3'),
  '-D': single('iso-8859-4'),
  '-L': single('iso-8859-5'),
  '-G': single('iso-8859-6'),
  '-F': single('iso-8859-7'),
  '-H': single('iso-8859-8'),
  '-M': single('windows-1254'),
  '-b': single('iso-8859-15'),
  '-T': single('windows-874'),
  $B: { label: 'jis0208', kind: 'g0-pairs' },
  '$@': { label: 'jis0208', kind: 'g0-pairs' },
  '$(D': { label: 'jis0212', kind: 'g0-pairs' },
  '$)C': { label: 'euc-kr', kind: 'g1-pairs' },
  '$)A': { label: 'gbk', kind: 'g1-pairs' },
}

const decoders = new Map<string, TextDecoder>()
function decoder(label: string): TextDecoder {
  const known = decoders.get(label) ?? new TextDecoder(label, { ignoreBOM: true })
  decoders.set(label, known)
  return known
}

/** The set that text begins in, by the value of Specific Character Set. An unknown term reads as Latin 1. */
export function codeSetOf(specificCharacterSet: string | undefined): CodeSet {
  const first = (specificCharacterSet ?? '').split('\\')[0]!.trim().toUpperCase()
  const number = /IR[ _](\d+)/.exec(first)?.[1]
  return BY_TERM[number ?? first] ?? ASCII
}

const ESC = 0x1b
/** A value in plain ASCII, whatever the character set says. */
const isPlain = (bytes: Buffer): boolean => isAscii(bytes) && !bytes.includes(ESC)

/** Length of the character at `at`, by its first bytes. */
function lengthAt(bytes: Buffer, at: number, { kind }: CodeSet): number {
  const first = bytes[at]!
  if (kind === 'single') return 1
  if (kind === 'g0-pairs') return first > 0x20 ? 2 : 1
  if (first < 0x80) return 1
  if (kind === 'g1-pairs') return 2
  if (kind === 'gb18030') return (bytes[at + 1] ?? 0) >= 0x30 && (bytes[at + 1] ?? 0) <= 0x39 ? 4 : 2
  return first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1
}

function decodeOne(bytes: Buffer, set: CodeSet): string {
  if (set.kind !== 'g0-pairs' || bytes.length < 2)
    return decoder(set.kind === 'g0-pairs' ? 'windows-1252' : set.label).decode(bytes)
  // The same table, as EUC-JP has it.
  const pair = [bytes[0]! | 0x80, bytes[1]! | 0x80]
  return decoder('euc-jp').decode(Buffer.from(set.label === 'jis0212' ? [0x8f, ...pair] : pair))
}

const ESCAPE = /^(\$\([A-Z]|\$\)[A-Z]|\$[@A-Z]|[()-][A-Za-z])/

/** Decodes a value of a text VR; every byte counts, also those that decode to nothing. */
export function decodeText(bytes: Buffer, initial: CodeSet): Decoded {
  const latin1 = bytes.toString('latin1')
  if (isPlain(bytes)) return { text: latin1 }
  if (initial.kind === 'single' && initial.label === 'windows-1252' && !bytes.includes(ESC))
    return { text: latin1 }
  const starts: number[] = []
  const doubled: number[] = []
  let text = ''
  let set = initial
  for (let at = 0; at < bytes.length; ) {
    const invoked = bytes[at] === ESC ? ESCAPE.exec(latin1.slice(at + 1, at + 5)) : null
    if (invoked) {
      set = BY_ESCAPE[invoked[1]!] ?? set
      at += 1 + invoked[0].length
      continue
    }
    // Line ends and, between values, backslashes go back to the initial set (PS3.5 6.1.2.5.3).
    if (bytes[at]! < 0x20 || (bytes[at] === 0x5c && set.kind !== 'g0-pairs')) set = initial
    const length = Math.min(lengthAt(bytes, at, set), bytes.length - at)
    const character = decodeOne(bytes.subarray(at, at + length), set)
    for (let unit = 0; unit < character.length; unit++) {
      starts.push(at)
      doubled.push(set.kind === 'g0-pairs' && length === 2 ? (set.label === 'jis0212' ? 2 : 1) : 0)
    }
    text += character
    at += length
  }
  starts.push(bytes.length)
  return { text, starts: Uint32Array.from(starts), doubled: Uint8Array.from(doubled) }
}

const X = 0x58
/** A character of JIS X 0208 (a wide X) and of JIS X 0212 (a broken bar) to write over others of their set. */
const WIDE = [undefined, [0x23, 0x58], [0x22, 0x43]] as const

/** Crosses out units `from` to `to` of a decoded value in its bytes: same length, same character sets, still valid. */
export function crossOut(bytes: Buffer, { starts, doubled }: Decoded, from: number, to: number): void {
  if (!starts || !doubled) {
    bytes.fill(X, from, to)
    return
  }
  for (let unit = from; unit < to; unit++) {
    const start = starts[unit]!
    let next = unit + 1
    while (next < starts.length - 1 && starts[next] === start) next++
    const wide = WIDE[doubled[unit] as 0 | 1 | 2]
    if (wide) bytes.set(wide, start)
    else {
      // Up to the character's own end: an escape sequence may follow before the next one starts.
      for (let at = start; at < starts[next]! && bytes[at] !== ESC; at++) bytes[at] = X
    }
  }
}
