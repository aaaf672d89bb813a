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
export interface Instance {
  /** The data set: inflated where the transfer syntax says so. */
  dataset: Buffer
  elements: Element[]
  meta: Map<number, Buffer>
  transferSyntax: string
  encoding: Encoding
  deflated: boolean
}

export const tagName = (tag: number): string => tag.toString(16).padStart(8, '0').toUpperCase()
export const groupOf = (tag: number): number => tag >>> 16
export const isPrivate = (tag: number): boolean => (groupOf(tag) & 1) === 1

/** Bytes of an element's value. */
export const bytesOf = (dataset: Buffer, { valueStart, valueEnd }: Element): Buffer =>
  dataset.subarray(valueStart, valueEnd)

/** Value as text without padding; undefined where the element is not there. */
export function textOf(
  { dataset, elements }: Pick<Instance, 'dataset' | 'elements'>,
  tag: number,
): string | undefined {
  const element = elements.find((candidate) => candidate.tag === tag)
  return (
    element &&
    bytesOf(dataset, element)
      .toString('latin1')
      .replace(/[\0 ]+$/, '')
      .trimStart()
  )
}

/** First value of an unsigned short; undefined where it is not there. */
export function ushortOf({ dataset, elements, encoding }: Instance, tag: number): number | undefined {
  const element = elements.find((candidate) => candidate.tag === tag)
  if (!element || element.valueEnd - element.valueStart < 2) return undefined
  return encoding.littleEndian
    ? dataset.readUInt16LE(element.valueStart)
    : dataset.readUInt16BE(element.valueStart)
}
