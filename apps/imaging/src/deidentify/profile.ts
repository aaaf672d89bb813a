import { groupOf, isPrivate } from './dicom/element.js'
import { TABLE_E1_1 } from './ps315-table.generated.js'

/** Action codes of PS3.15 table E.1-1a. */
export type ActionCode = 'D' | 'Z' | 'X' | 'K' | 'C' | 'U' | 'X/Z' | 'X/D' | 'Z/D' | 'X/Z/D' | 'X/Z/U*'

/** Options of PS3.15 E.3 that this profile can take beside the Basic Profile. */
export const OPTIONS = {
  'retain-uids': 'U',
  'retain-device-identity': 'D',
  'retain-institution-identity': 'I',
  'retain-longitudinal-full-dates': 'F',
  'retain-longitudinal-modified-dates': 'M',
} as const
export type Option = keyof typeof OPTIONS

/** What is done with an element. */
export type Action = 'remove' | 'empty' | 'dummy' | 'uid' | 'keep' | 'shift-date' | 'items-only'

interface Row {
  vr: string
  basic: ActionCode
  options: Map<string, string>
}

const rows = new Map<string, Row>(
  TABLE_E1_1.trim()
    .split('\n')
    .map((line) => {
      const [tag, vr, basic, options = ''] = line.split(' ')
      const pairs = [...options.matchAll(/([A-Z])([A-Z])/g)].map(
        ([, option, code]) => [option!, code!] as const,
      )
      return [tag!, { vr: vr!, basic: basic as ActionCode, options: new Map(pairs) }]
    }),
)

/** Number of rows of the table. */
export const TABLE_SIZE = rows.size

/** The table's row for a tag: its own, or that of a repeating group. */
export function rowOf(tag: number): Row | undefined {
  if (isPrivate(tag)) return rows.get('private')
  const own = rows.get(tag.toString(16).padStart(8, '0'))
  if (own) return own
  const group = groupOf(tag)
  if (group >= 0x5000 && group <= 0x501e) return rows.get('50xxxxxx')
  if (group >= 0x6000 && group <= 0x601e)
    return rows.get(`60xx${(tag & 0xffff).toString(16).padStart(4, '0')}`)
  return undefined
}

/** Sequences whose items must stay for the instance to mean anything; their contents are cleaned one by one. */
const STRUCTURE = new Set([0x0040a730, 0x00700001])

/**
 * The Basic Profile's action for an attribute. Which of several codes applies depends on the attribute's type in the
 * IOD (E.1-1a); where that is not known, the one is taken that keeps the instance valid in either case: empty rather
 * than removed, a dummy rather than empty.
 */
function basicAction(tag: number, code: ActionCode, isSequence: boolean): Action {
  if (isSequence && STRUCTURE.has(tag)) return 'items-only'
  switch (code) {
    case 'X':
      return 'remove'
    case 'Z':
    case 'X/Z':
      return 'empty'
    case 'X/Z/D':
      return isSequence ? 'empty' : 'dummy'
    case 'D':
    case 'X/D':
    case 'Z/D':
      return 'dummy'
    case 'U':
      return 'uid'
    case 'X/Z/U*':
      return 'items-only'
    case 'K':
      return 'keep'
    case 'C':
      return 'remove'
    default:
      return code satisfies never
  }
}

/** The VR that the standard gives an attribute of the table; UN where it has none. */
export const standardVr = (tag: number): string => rowOf(tag)?.vr ?? 'UN'

/** Whether an attribute is free text that describes (those of the Clean Descriptors Option). */
export const isDescription = (tag: number): boolean => rowOf(tag)?.options.has('C') ?? false

/** Options that contradict each other. */
export function contradiction(options: readonly Option[]): string | undefined {
  const both = ['retain-longitudinal-full-dates', 'retain-longitudinal-modified-dates'] as const
  return both.every((option) => options.includes(option))
    ? `${both[0]} and ${both[1]} exclude each other`
    : undefined
}

/** What to do with an attribute under the Basic Profile and these options; undefined where the table has no row for it. */
export function resolveAction(
  tag: number,
  options: readonly Option[],
  isSequence: boolean,
): { action: Action; option?: Option } | undefined {
  const row = rowOf(tag)
  if (!row) return undefined
  for (const option of options) {
    const code = row.options.get(OPTIONS[option])
    if (code === 'K') return { action: 'keep', option }
    if (code === 'C' && option === 'retain-longitudinal-modified-dates')
      return { action: 'shift-date', option }
  }
  return { action: basicAction(tag, row.basic, isSequence) }
}
