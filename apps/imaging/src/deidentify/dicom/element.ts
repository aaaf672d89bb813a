import type { Bytes } from './bytes.js'
import { standardVr } from './dictionary.js'

/** How a data set is encoded (PS3.5 A). */
export interface Encoding {
  explicit: boolean
  littleEndian: boolean
}

/** An element where it stands in the data set; its bytes are never copied. */
export interface Element {
  /** (group << 16 | element) >>> 0. */
  tag: number
  /** As written; `UN` where the encoding is implicit and the value is no sequence. */
  vr: string
  start: number
  valueStart: number
  /** End of the value, before a delimiter. */
  valueEnd: number
  end: number
  /** Items of a sequence. */
  items?: Item[]
  /** Whether the value is encapsulated in fragments. */
  encapsulated?: boolean
  /** Encoding of the items: that of a UN sequence is always implicit little endian (PS3.5 6.2.2). */
  itemEncoding?: Encoding
}

export interface Item {
  elements: Element[]
}

/** A parsed instance. */
export interface Instance<Data extends Bytes = Buffer> {
  /** The data set: inflated where the transfer syntax says so. */
  dataset: Data
  elements: Element[]
  meta: Map<number, Buffer>
  transferSyntax: string
  encoding: Encoding
  deflated: boolean
}

/** A data set, or an item of one. */
export type Dataset = Pick<Instance<Bytes>, 'dataset' | 'elements'>

/** A tag as eight hexadecimal digits. */
export const tagName = (tag: number): string => (tag + 0x1_0000_0000).toString(16).slice(1).toUpperCase()
export const groupOf = (tag: number): number => tag >>> 16
export const isPrivate = (tag: number): boolean => (groupOf(tag) & 1) === 1

/** The VR of an element: as written, else that of the standard; `UN` where nobody knows. */
export const vrOf = ({ vr, tag }: Pick<Element, 'vr' | 'tag'>): string =>
  vr === 'UN' ? (standardVr(tag) ?? 'UN') : vr

/** Bytes of an element's value. */
export const bytesOf = (dataset: Bytes, { valueStart, valueEnd }: Element): Buffer =>
  dataset.subarray(valueStart, valueEnd)

/** Longest text that is read where one value is asked for. */
const LONGEST_TEXT = 1024

/** Value as text without padding; undefined where the element is not there. */
export function textOf({ dataset, elements }: Dataset, tag: number): string | undefined {
  const element = elements.find((candidate) => candidate.tag === tag)
  return (
    element &&
    dataset
      .subarray(element.valueStart, Math.min(element.valueEnd, element.valueStart + LONGEST_TEXT))
      .toString('latin1')
      .replace(/(?<![\0 ])[\0 ]+$/, '')
      .trimStart()
  )
}

/** First value of an unsigned short; undefined where it is not there. */
export function ushortOf(
  { dataset, elements, encoding }: Dataset & Pick<Instance, 'encoding'>,
  tag: number,
): number | undefined {
  const element = elements.find((candidate) => candidate.tag === tag)
  if (!element || element.valueEnd - element.valueStart < 2) return undefined
  const bytes = dataset.subarray(element.valueStart, element.valueStart + 2)
  return encoding.littleEndian ? bytes.readUInt16LE(0) : bytes.readUInt16BE(0)
}
