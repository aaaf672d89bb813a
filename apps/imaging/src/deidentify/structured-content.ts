import type { Bytes } from './dicom/bytes.js'
import { bytesOf, type Element, type Item } from './dicom/element.js'
import { OPTIONS, type Option, type OptionLetter } from './options.js'
import type { Action, Resolved } from './profile.js'
import { TABLE_E3_4_1 } from './tables/structured-content.generated.js'

interface Concept {
  basic: string
  options: ReadonlyMap<OptionLetter, 'K' | 'C'>
}

const concepts = new Map<string, Concept>(
  TABLE_E3_4_1.trim()
    .split('\n')
    .map((line) => {
      const [scheme, code, basic, options = ''] = line.split('|')
      const pairs = [...options.matchAll(/([A-Z])([KC])/g)].map(
        ([, option, action]) => [option as OptionLetter, action as 'K' | 'C'] as const,
      )
      return [`${scheme}|${code}`, { basic: basic!, options: new Map(pairs) }]
    }),
)

/** Number of concepts of the table. */
export const CONCEPTS = concepts.size

/** What is done with the value of a content item of this concept (PS3.15 E.3.4); undefined where the table has none. */
export function resolveConcept(
  scheme: string,
  code: string,
  options: readonly Option[],
): Resolved | undefined {
  const concept = concepts.get(`${scheme}|${code}`)
  if (!concept) return undefined
  for (const wanted of ['C', 'K'] as const) {
    for (const option of options) {
      if (concept.options.get(OPTIONS[option]) !== wanted) continue
      const cleaning: Action = option === 'retain-longitudinal-modified-dates' ? 'shift-date' : 'clean-text'
      return { action: wanted === 'K' ? 'keep' : cleaning, option }
    }
  }
  // Whether a template demands the item is not known: a dummy is right in either case.
  return { action: concept.basic === 'X' ? 'remove' : 'dummy', option: 'clean-structured-content' }
}

const CONCEPT_NAME = 0x0040a043
const CODE_VALUE = 0x00080100
const SCHEME = 0x00080102

const textIn = (dataset: Bytes, elements: readonly Element[], tag: number): string => {
  const element = elements.find((candidate) => candidate.tag === tag)
  return element
    ? bytesOf(dataset, element)
        .toString('latin1')
        .replace(/(?<![\0 ])[\0 ]+$/, '')
    : ''
}

/** Coding scheme and code of a content item's concept name; undefined where it has none. */
export function conceptOf(dataset: Bytes, { elements }: Item): { scheme: string; code: string } | undefined {
  const name = elements.find(({ tag }) => tag === CONCEPT_NAME)?.items?.[0]?.elements
  if (!name) return undefined
  return { scheme: textIn(dataset, name, SCHEME), code: textIn(dataset, name, CODE_VALUE) }
}

/** The elements that hold a content item's value (PS3.3 C.17.3): date and time, date, time, name, text, UID. */
export const CONTENT_VALUES: ReadonlySet<number> = new Set([
  0x0040a120, 0x0040a121, 0x0040a122, 0x0040a123, 0x0040a124, 0x0040a160,
])
/** Those whose value is a sequence: code, measurement, reference. */
export const CONTENT_SEQUENCES: ReadonlySet<number> = new Set([0x0040a168, 0x0040a300, 0x00081199])
