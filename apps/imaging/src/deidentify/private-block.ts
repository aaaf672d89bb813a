import type { Bytes } from './dicom/bytes.js'
import { type Element, groupOf } from './dicom/element.js'
import { TABLE_E3_10_1 } from './tables/safe-private.generated.js'

/** Of each creator, its safe elements as group and last two digits; `x` groups are given in full in the table. */
const safe = new Map(
  TABLE_E3_10_1.trim()
    .split('\n')
    .map((line) => {
      const at = line.lastIndexOf('|')
      return [line.slice(0, at), new Set(line.slice(at + 1).split(' '))] as const
    }),
)

const isCreator = (tag: number): boolean => (tag & 0xffff) >= 0x10 && (tag & 0xffff) <= 0xff

/** The private elements of one data set or item that PS3.15 E.3.10 calls safe, with the creators that reserve them. */
export function safePrivate(dataset: Bytes, elements: readonly Element[]): Set<number> {
  const creators = new Map<number, string>()
  for (const element of elements) {
    if (!isCreator(element.tag) || element.valueEnd - element.valueStart > 64) continue
    const name = dataset
      .subarray(element.valueStart, element.valueEnd)
      .toString('latin1')
      .replace(/(?<![\0 ])[\0 ]+$/, '')
    if (safe.has(name)) creators.set(element.tag, name)
  }
  const kept = new Set<number>()
  for (const { tag } of elements) {
    if (isCreator(tag) || creators.size === 0) continue
    // (gggg,00bb) reserves (gggg,bb00) to (gggg,bbFF) (PS3.5 7.8.1).
    const creator = (((tag >>> 16) << 16) | ((tag >>> 8) & 0xff)) >>> 0
    const name = creators.get(creator)
    const key = groupOf(tag).toString(16).padStart(4, '0') + (tag & 0xff).toString(16).padStart(2, '0')
    if (!name || !safe.get(name)!.has(key)) continue
    kept.add(tag)
    kept.add(creator)
  }
  return kept
}
