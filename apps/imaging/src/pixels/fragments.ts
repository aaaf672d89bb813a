import type { Element, Instance } from '../deidentify/dicom/element.js'

export const EXTENDED_OFFSETS = 0x7fe00001
export const EXTENDED_LENGTHS = 0x7fe00002
const ITEM_HEADER = 8

/** Fragments of encapsulated pixel data; the first is the offset table (PS3.5 A.4). */
function fragmentsOf(dataset: Buffer, { valueStart, valueEnd }: Element): Buffer[] {
  const fragments: Buffer[] = []
  for (let at = valueStart; at + ITEM_HEADER <= valueEnd; ) {
    const length = dataset.readUInt32LE(at + 4)
    fragments.push(dataset.subarray(at + ITEM_HEADER, Math.min(at + ITEM_HEADER + length, valueEnd)))
    at += ITEM_HEADER + length
  }
  return fragments
}

/** Where each frame begins, as the basic or the extended offset table says; undefined where neither does. */
function offsetsOf({ dataset, elements }: Instance, table: Buffer, frames: number): number[] | undefined {
  if (table.length === frames * 4)
    return Array.from({ length: frames }, (_, at) => table.readUInt32LE(at * 4))
  const extended = elements.find(({ tag }) => tag === EXTENDED_OFFSETS)
  if (!extended || extended.valueEnd - extended.valueStart !== frames * 8) return undefined
  return Array.from({ length: frames }, (_, at) =>
    Number(dataset.readBigUInt64LE(extended.valueStart + at * 8)),
  )
}

/**
 * The fragments of each compressed frame: by an offset table, else one fragment a frame, else all for the only frame.
 * Undefined where the frames cannot be told apart.
 */
export function framesOf(instance: Instance, element: Element, frames: number): Buffer[][] | undefined {
  const [table, ...fragments] = fragmentsOf(instance.dataset, element)
  if (!table || fragments.length < frames) return undefined
  if (frames === 1) return [fragments]
  if (fragments.length === frames) return fragments.map((fragment) => [fragment])
  const offsets = offsetsOf(instance, table, frames)
  if (!offsets) return undefined
  const grouped: Buffer[][] = offsets.map(() => [])
  let at = 0
  let frame = -1
  for (const fragment of fragments) {
    while (frame + 1 < frames && at >= offsets[frame + 1]!) frame++
    grouped[frame]?.push(fragment)
    at += ITEM_HEADER + fragment.length
  }
  return grouped.every((group) => group.length > 0) ? grouped : undefined
}

function item(content: Buffer): Buffer {
  const header = Buffer.from([0xfe, 0xff, 0x00, 0xe0, 0, 0, 0, 0])
  header.writeUInt32LE(content.length + (content.length % 2), 4)
  return Buffer.concat(content.length % 2 ? [header, content, Buffer.of(0)] : [header, content])
}

/** Compressed frames as they stand in a data set, and what the tables of offsets say of them. */
export interface Encapsulated {
  value: Buffer
  /** Offset and length of each frame in bytes (PS3.3 C.7.6.3.1.8). */
  places: { offset: number; length: number }[]
}

const FITS_BASIC_TABLE = 0xffffffff

/**
 * Encapsulated pixel data (PS3.5 A.4) with a basic offset table; without one where the offsets do not fit or where an
 * extended table says the same, because the two exclude each other.
 */
export function encapsulate(frames: readonly Buffer[][], extended = false): Encapsulated {
  const items = frames.map((fragments) => Buffer.concat(fragments.map(item)))
  let end = 0
  const places = items.map(({ length }, index) => {
    const place = { offset: end, length: frames[index]!.reduce((sum, fragment) => sum + fragment.length, 0) }
    end += length
    return place
  })
  const table = Buffer.alloc(extended || end > FITS_BASIC_TABLE ? 0 : frames.length * 4)
  if (table.length > 0)
    for (const [index, { offset }] of places.entries()) table.writeUInt32LE(offset, index * 4)
  return { value: Buffer.concat([item(table), ...items]), places }
}
