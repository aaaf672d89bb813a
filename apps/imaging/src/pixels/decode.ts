import { type Element, type Instance, textOf, ushortOf } from '../deidentify/dicom/element.js'
import { DECOMPRESSOR, decompress } from './codecs.js'
import { framesOf } from './fragments.js'
import type { Decoded, Frame } from './frame.js'
import { decodeRle } from './rle.js'

export const PIXEL_DATA = 0x7fe00010
export const RLE = '1.2.840.10008.1.2.5'
/** Largest frame that is decoded, in samples: 256 megapixels of one sample. */
const MOST_SAMPLES = 2 ** 28

/** What the header says of the pixels (PS3.3 C.7.6.3). */
export interface Layout extends Omit<Frame, 'data' | 'coded'> {
  bitsAllocated: number
  frames: number
  planar: boolean
}

/** The layout that the header states; undefined where it states none. */
export function layoutOf(instance: Instance): Layout | undefined {
  const number = (tag: number) => ushortOf(instance, tag)
  const [rows, columns, bitsAllocated] = [number(0x00280010), number(0x00280011), number(0x00280100)]
  if (!rows || !columns || !bitsAllocated) return undefined
  return {
    rows,
    columns,
    bitsAllocated,
    samplesPerPixel: number(0x00280002) ?? 1,
    photometric: textOf(instance, 0x00280004) ?? 'MONOCHROME2',
    bitsStored: number(0x00280101) ?? bitsAllocated,
    signed: number(0x00280103) === 1,
    frames: Number.parseInt(textOf(instance, 0x00280008) ?? '1', 10) || 1,
    planar: number(0x00280006) === 1,
  }
}

function typed(bytes: Buffer, bits: number, signed: boolean): Frame['data'] {
  const copy = new Uint8Array(bytes)
  if (bits <= 8) return signed ? new Int8Array(copy.buffer) : copy
  if (bits <= 16) return signed ? new Int16Array(copy.buffer) : new Uint16Array(copy.buffer)
  return signed ? new Int32Array(copy.buffer) : new Uint32Array(copy.buffer)
}

/** Samples of a pixel side by side, where they came plane by plane. */
function interleave(bytes: Buffer, pixels: number, samples: number, size: number): Buffer {
  const out = Buffer.alloc(bytes.length)
  for (let sample = 0; sample < samples; sample++) {
    for (let pixel = 0; pixel < pixels; pixel++) {
      bytes.copy(
        out,
        (pixel * samples + sample) * size,
        (sample * pixels + pixel) * size,
        (sample * pixels + pixel + 1) * size,
      )
    }
  }
  return out
}

function unpackBits(bytes: Buffer, from: number, pixels: number): Buffer {
  const out = Buffer.alloc(pixels)
  for (let pixel = 0; pixel < pixels; pixel++)
    out[pixel] = (bytes[(from + pixel) >> 3]! >> ((from + pixel) & 7)) & 1
  return out
}

function native(instance: Instance, element: Element, layout: Layout, index: number): Buffer | undefined {
  const { rows, columns, samplesPerPixel, bitsAllocated, planar } = layout
  const pixels = rows * columns
  const value = instance.dataset.subarray(element.valueStart, element.valueEnd)
  if (bitsAllocated === 1)
    return value.length * 8 >= (index + 1) * pixels ? unpackBits(value, index * pixels, pixels) : undefined
  const size = bitsAllocated / 8
  const length = pixels * samplesPerPixel * size
  const frame = Buffer.from(value.subarray(index * length, (index + 1) * length))
  if (frame.length !== length) return undefined
  if (!instance.encoding.littleEndian && size === 2) frame.swap16()
  if (!instance.encoding.littleEndian && size === 4) frame.swap32()
  return planar && samplesPerPixel > 1 ? interleave(frame, pixels, samplesPerPixel, size) : frame
}

/** Two pixels share their colour differences: Y Y Cb Cr (PS3.3 C.7.6.3.1.2, YBR_FULL_422). */
function halved(instance: Instance, element: Element, layout: Layout, index: number): Buffer | undefined {
  const { rows, columns, bitsAllocated, samplesPerPixel } = layout
  const length = rows * columns * 2
  const from = element.valueStart + index * length
  if (bitsAllocated !== 8 || samplesPerPixel !== 3 || columns % 2 === 1) return undefined
  if (from + length > element.valueEnd) return undefined
  const out = Buffer.alloc(rows * columns * 3)
  for (let pair = 0; pair < length / 4; pair++) {
    const [first, second, blue, red] = instance.dataset.subarray(from + pair * 4, from + pair * 4 + 4)
    out.set([first!, blue!, red!, second!, blue!, red!], pair * 6)
  }
  return out
}

const damaged = (reason: string): Decoded => ({ kind: 'damaged', reason })
const unsupported = ({ transferSyntax }: Instance): Decoded => ({ kind: 'unsupported', transferSyntax })

async function compressed(
  instance: Instance,
  element: Element,
  layout: Layout,
  index: number,
): Promise<Decoded> {
  const fragments = framesOf(instance, element, layout.frames)?.[index]
  if (!fragments) return damaged('the frame is not among the fragments')
  const bytes = fragments.length === 1 ? fragments[0]! : Buffer.concat(fragments)
  const { rows, columns, samplesPerPixel, bitsAllocated } = layout
  if (instance.transferSyntax === RLE) {
    const data = decodeRle(bytes, rows * columns, samplesPerPixel, bitsAllocated / 8)
    return data
      ? { kind: 'frame', frame: { ...layout, data: typed(data, bitsAllocated, layout.signed) } }
      : damaged('RLE segments')
  }
  const decompressor = DECOMPRESSOR[instance.transferSyntax]
  if (!decompressor) return unsupported(instance)
  try {
    const result = await decompress(decompressor, bytes)
    if (result.rows !== rows || result.columns !== columns)
      return damaged('the compressed image has another size than the header says')
    const bits = result.bitsPerSample > 8 ? 16 : 8
    // Colour transforms of the codec are undone already: what comes out is RGB.
    const photometric = result.samples === 3 ? 'RGB' : layout.photometric
    return {
      kind: 'frame',
      frame: {
        ...layout,
        photometric,
        samplesPerPixel: result.samples,
        coded: { precision: result.bitsPerSample, signed: result.signed },
        data: typed(result.data, bits, layout.signed),
      },
    }
  } catch {
    return damaged('the compressed image cannot be read')
  }
}

/** Decodes one frame of an instance; sizes are checked against the header before anything is allocated. */
export async function decodeFrame(instance: Instance, index = 0): Promise<Decoded> {
  const element = instance.elements.find(({ tag }) => tag === PIXEL_DATA)
  const layout = layoutOf(instance)
  if (!element || !layout) return damaged('there are no pixels')
  if (layout.rows * layout.columns * layout.samplesPerPixel > MOST_SAMPLES)
    return damaged('the image is too large')
  if (index >= layout.frames || ![1, 8, 16, 32].includes(layout.bitsAllocated)) return unsupported(instance)
  if (element.encapsulated) return compressed(instance, element, layout, index)
  const data = layout.photometric.startsWith('YBR_FULL_422')
    ? halved(instance, element, layout, index)
    : native(instance, element, layout, index)
  if (!data) return damaged('there are fewer pixels than the header says')
  return { kind: 'frame', frame: { ...layout, data: typed(data, layout.bitsAllocated, layout.signed) } }
}
