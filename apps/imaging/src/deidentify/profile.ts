import { type AttributeType, attributeType, type Place } from './attribute-type.js'
import { standardVr } from './dicom/dictionary.js'
import { groupOf, isPrivate } from './dicom/element.js'
import { OPTIONS, type Option, type OptionLetter } from './options.js'
import { TABLE_E1_1 } from './tables/profile.generated.js'

/** Action codes of PS3.15 table E.1-1a. */
export type ActionCode = 'D' | 'Z' | 'X' | 'K' | 'C' | 'U' | 'X/Z' | 'X/D' | 'Z/D' | 'X/Z/D' | 'X/Z/U*'

/** What is done with an element. */
export type Action =
  | 'remove'
  | 'empty'
  | 'dummy'
  | 'uid'
  | 'keep'
  | 'shift-date'
  /** Free text is reduced to words of medicine. */
  | 'clean-text'
  /** Names of machines are kept, those of people and places crossed out. */
  | 'clean-name'
  /** Content items are cleaned by their concept (E.3.4). */
  | 'clean-content'
  /** Graphics stay, their text is cleaned (E.3.3). */
  | 'clean-graphics'
  /** Private elements stay where the standard says that they are safe (E.3.10). */
  | 'clean-private'
  /** The sequence stays, its elements are cleaned one by one. */
  | 'items-only'

export interface Row {
  basic: ActionCode
  options: ReadonlyMap<OptionLetter, 'K' | 'C'>
}

const rows = new Map<string, Row>(
  TABLE_E1_1.trim()
    .split('\n')
    .map((line) => {
      const [tag, basic, options = ''] = line.split(' ')
      const pairs = [...options.matchAll(/([A-Z])([KC])/g)].map(
        ([, option, code]) => [option as OptionLetter, code as 'K' | 'C'] as const,
      )
      return [tag!, { basic: basic as ActionCode, options: new Map(pairs) }]
    }),
)
const byTag = new Map(
  [...rows].filter(([tag]) => /^[0-9a-f]{8}$/.test(tag)).map(([tag, row]) => [Number.parseInt(tag, 16), row]),
)
const PRIVATE = rows.get('private')!
const CURVE = rows.get('50xxxxxx')!
const OVERLAY = new Map(
  [0x3000, 0x4000].map((element) => [element, rows.get(`60xx${element.toString(16)}`)!]),
)

/** Number of rows of the table. */
export const TABLE_SIZE = rows.size

/** The table's row for a tag: its own, or that of a repeating group. */
export function rowOf(tag: number): Row | undefined {
  const own = byTag.get(tag)
  if (own) return own
  if (isPrivate(tag)) return PRIVATE
  const group = groupOf(tag) >>> 8
  if (group === 0x50) return CURVE
  return group === 0x60 ? OVERLAY.get(tag & 0xffff) : undefined
}

/** Whether an attribute is free text that describes (those of the Clean Descriptors Option). */
export const isDescription = (tag: number): boolean => rowOf(tag)?.options.has('C') ?? false

const BY_TYPE: Record<AttributeType, 'X' | 'Z' | 'D'> = { 1: 'D', 2: 'Z', 3: 'X' }

/**
 * One of the codes that a row offers, by the type of the attribute (E.1-1a): what may be missing is removed, what may
 * be empty emptied; where that code is not on offer, the next that keeps the instance valid.
 */
export function codeForType(code: ActionCode, type: AttributeType): ActionCode {
  if (!code.includes('/') || code === 'X/Z/U*') return code
  const offered = code.split('/') as ActionCode[]
  const wanted = BY_TYPE[type]
  if (offered.includes(wanted)) return wanted
  return type === 3 ? offered[0]! : offered.at(-1)!
}

const SINGLE: Record<string, Action> = {
  X: 'remove',
  Z: 'empty',
  D: 'dummy',
  U: 'uid',
  K: 'keep',
  'X/Z/U*': 'items-only',
}

/** What option C of a row means, by the option. */
const CLEANING: Partial<Record<OptionLetter, Action>> = {
  M: 'shift-date',
  C: 'clean-text',
  P: 'clean-text',
  D: 'clean-name',
  T: 'clean-content',
  G: 'clean-graphics',
  S: 'clean-private',
}

export interface Resolved {
  action: Action
  option?: Option
}

/**
 * What an option makes of a row. Where several apply, cleaning goes before keeping: a date that Retain Device Identity
 * would keep must not give away by how much the others were moved.
 */
function byOption(row: Row, options: readonly Option[]): Resolved | undefined {
  for (const code of ['C', 'K'] as const) {
    for (const option of options) {
      const letter = OPTIONS[option]
      if (row.options.get(letter) !== code) continue
      return { action: code === 'K' ? 'keep' : CLEANING[letter]!, option }
    }
  }
  return undefined
}

/** The rows resolved for a set of options, except for what depends on the type of the attribute. */
export class Profile {
  private readonly resolved = new Map<number, Resolved | ActionCode | undefined>()

  constructor(readonly options: readonly Option[]) {}

  has(option: Option): boolean {
    return this.options.includes(option)
  }

  /** What to do with an attribute; undefined where the table has no row for it. */
  resolve(tag: number, place: Place): Resolved | undefined {
    let known = this.resolved.get(tag)
    if (known === undefined) {
      const row = rowOf(tag)
      if (!row) return undefined
      known = byOption(row, this.options) ?? row.basic
      this.resolved.set(tag, known)
    }
    if (typeof known !== 'string') return known
    const code = codeForType(known, known.includes('/') ? attributeType(tag, place) : 3)
    return { action: SINGLE[code]! }
  }
}

/** Whether an attribute is known to the data dictionary (PS3.6). */
export const isKnown = (tag: number): boolean => standardVr(tag) !== undefined
