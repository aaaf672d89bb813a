import type { Element, Instance } from '../deidentify/dicom/element.js'
import { decodeFrame, layoutOf, PIXEL_DATA } from './decode.js'
import { canEncode, EncodeError, encodeFrame } from './encode.js'
import { EXTENDED_LENGTHS, EXTENDED_OFFSETS, encapsulate, framesOf } from './fragments.js'
import type { Frame } from './frame.js'
import { blackOut, showsSomething } from './mask.js'
import { writeRegions } from './native.js'
import { darkestIndex, frameCount, type Picture, picturesOf } from './picture.js'
import { type PixelPolicy, pixelAction, recognizable } from './policy.js'
import { templateRegions } from './templates.js'
import { merge, type Region } from './text/region.js'

/** Whoever finds text in a picture. */
export interface TextFinder {
  /** `enlarged`: how many times its size the picture may be looked at. */
  find(picture: Picture, enlarged?: number): Promise<Region[]>
}

/** Why the pixels of an instance cannot be passed on. */
export type PixelRefusal = 'pixels_not_readable' | 'pixels_not_writable' | 'pixels_by_policy'

/** What was found of an instance's pixels and done about it. */
export type PixelCleaning =
  | { kind: 'trusted'; recognizable?: 'photograph' | 'head' }
  | { kind: 'clean'; recognizable?: 'photograph' | 'head' }
  | {
      kind: 'cleaned'
      /** Elements that changed, whole as they are to stand in the data set, by tag: the pixel data and its tables. */
      elements: Map<number, Buffer>
      regions: Region[]
      /** Frames that were touched; every other frame has its bytes still. */
      frames: number[]
      recognizable?: 'photograph' | 'head'
    }
  | { kind: 'refused'; reason: PixelRefusal }

/** Frames spread evenly over the instance, the first and the last among them. */
export function sampledFrames(count: number, most: number): number[] {
  if (count <= most) return Array.from({ length: count }, (_, at) => at)
  if (most === 1) return [0]
  return Array.from({ length: most }, (_, at) => Math.round((at * (count - 1)) / (most - 1)))
}

const darkestOf = (instance: Instance, frame: Frame): number =>
  frame.photometric === 'PALETTE COLOR' ? darkestIndex(instance, frame) : 0

class Unreadable extends Error {}

async function frameOf(instance: Instance, index: number): Promise<Frame> {
  const decoded = await decodeFrame(instance, index)
  if (decoded.kind !== 'frame') throw new Unreadable()
  return decoded.frame
}

/** Looks once more after blacking out: what stood too close to be found at first stands alone then. */
async function textIn(
  instance: Instance,
  frame: Frame,
  finder: TextFinder,
  known: Region[],
): Promise<Region[]> {
  const copy: Frame = { ...frame, data: frame.data.slice() }
  const darkest = darkestOf(instance, frame)
  blackOut(copy, known, darkest)
  const look = async (enlarged?: number) => {
    const found: Region[] = []
    for (const picture of picturesOf(instance, copy)) found.push(...(await finder.find(picture, enlarged)))
    blackOut(copy, found, darkest)
    return found
  }
  const first = await look()
  return first.length > 0 ? [...known, ...first, ...(await look(1))] : [...known]
}

/** Colour differences are shared by two pixels there: regions begin and end between pairs. */
const toPairs = (region: Region, width: number): Region => ({
  ...region,
  left: region.left - (region.left % 2),
  right: Math.min(width, region.right + (region.right % 2)),
})

async function findRegions(instance: Instance, finder: TextFinder, most: number): Promise<Region[]> {
  let regions = templateRegions(instance)
  for (const index of sampledFrames(frameCount(instance), most))
    regions = merge(await textIn(instance, await frameOf(instance, index), finder, regions))
  const { photometric, columns } = layoutOf(instance)!
  return photometric.includes('422') ? merge(regions.map((region) => toPairs(region, columns))) : regions
}

interface Written {
  elements: Map<number, Buffer>
  frames: number[]
}

/** The frames that show something in the regions, blacked out there. */
async function* maskedFrames(instance: Instance, regions: Region[]): AsyncGenerator<[number, Frame]> {
  for (let index = 0; index < frameCount(instance); index++) {
    const frame = await frameOf(instance, index)
    if (!regions.some((region) => showsSomething(frame, region))) continue
    blackOut(frame, regions, darkestOf(instance, frame))
    yield [index, frame]
  }
}

/** The element with another value of the same kind: its header and its delimiter stay. */
const withValue = (
  { dataset }: Instance,
  { start, valueStart, valueEnd, end }: Element,
  value: Buffer,
): Buffer => Buffer.concat([dataset.subarray(start, valueStart), value, dataset.subarray(valueEnd, end)])

async function writeNative(instance: Instance, element: Element, regions: Region[]): Promise<Written> {
  const { dataset, encoding } = instance
  const value = Buffer.from(dataset.subarray(element.valueStart, element.valueEnd))
  const frames: number[] = []
  for await (const [index, frame] of maskedFrames(instance, regions)) {
    writeRegions(value, encoding, layoutOf(instance)!, frame, index, regions)
    frames.push(index)
  }
  return { elements: new Map([[PIXEL_DATA, withValue(instance, element, value)]]), frames }
}

/** Little-endian numbers of 64 bits. */
function numbers(values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 8)
  for (const [at, value] of values.entries()) bytes.writeBigUInt64LE(BigInt(value), at * 8)
  return bytes
}

async function writeCompressed(
  instance: Instance,
  element: Element,
  regions: Region[],
): Promise<Written | undefined> {
  const fragments = framesOf(instance, element, frameCount(instance))
  if (!fragments || !canEncode(instance)) return undefined
  const frames: number[] = []
  for await (const [index, frame] of maskedFrames(instance, regions)) {
    fragments[index] = [await encodeFrame(frame, instance)]
    frames.push(index)
  }
  const table = (tag: number) => instance.elements.find((candidate) => candidate.tag === tag)
  const [offsets, lengths] = [table(EXTENDED_OFFSETS), table(EXTENDED_LENGTHS)]
  const { value, places } = encapsulate(fragments, offsets !== undefined)
  const elements = new Map([[PIXEL_DATA, withValue(instance, element, value)]])
  if (offsets)
    elements.set(EXTENDED_OFFSETS, withValue(instance, offsets, numbers(places.map((p) => p.offset))))
  if (lengths)
    elements.set(EXTENDED_LENGTHS, withValue(instance, lengths, numbers(places.map((p) => p.length))))
  return { elements, frames }
}

/**
 * Finds text in the pixels of an instance as the policy says, and blacks it out in every frame that shows it (PS3.15
 * E.3.1). Frames without text keep their bytes; those with text are compressed again by their own transfer syntax.
 */
export async function cleanPixels(
  instance: Instance,
  finder: TextFinder,
  policy: PixelPolicy,
): Promise<PixelCleaning> {
  const element = instance.elements.find(({ tag }) => tag === PIXEL_DATA)
  if (!element) return { kind: 'trusted' }
  const action = pixelAction(instance, policy)
  if (action === 'quarantine') return { kind: 'refused', reason: 'pixels_by_policy' }
  const seen = recognizable(instance)
  const mark = seen ? { recognizable: seen } : {}
  if (action === 'trust') return { kind: 'trusted', ...mark }
  try {
    const regions = await findRegions(instance, finder, policy.frames)
    if (regions.length === 0) return { kind: 'clean', ...mark }
    const written = element.encapsulated
      ? await writeCompressed(instance, element, regions)
      : await writeNative(instance, element, regions)
    if (written?.frames.length === 0) return { kind: 'clean', ...mark }
    return written
      ? { kind: 'cleaned', regions, ...written, ...mark }
      : { kind: 'refused', reason: 'pixels_not_writable' }
  } catch (error) {
    if (error instanceof Unreadable) return { kind: 'refused', reason: 'pixels_not_readable' }
    if (error instanceof EncodeError) return { kind: 'refused', reason: 'pixels_not_writable' }
    throw error
  }
}
