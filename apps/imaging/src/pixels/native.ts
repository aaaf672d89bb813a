import type { Encoding } from '../deidentify/dicom/element.js'
import type { Layout } from './decode.js'
import type { Frame } from './frame.js'
import type { Region } from './text/region.js'

/**
 * Writes the samples of a frame back into uncompressed pixel data within the regions, in place, and touches no other
 * byte.
 */
export function writeRegions(
  value: Buffer,
  encoding: Encoding,
  layout: Layout,
  frame: Frame,
  index: number,
  regions: readonly Region[],
): void {
  const { rows, columns, samplesPerPixel, bitsAllocated, planar, photometric } = layout
  const size = bitsAllocated / 8
  const pixels = rows * columns
  const halved = photometric.startsWith('YBR_FULL_422')
  const start = index * pixels * (halved ? 2 : samplesPerPixel * size)
  const place = (pixel: number, sample: number): number => {
    if (halved) return start + Math.floor(pixel / 2) * 4 + (sample === 0 ? pixel % 2 : sample + 1)
    return start + (planar ? sample * pixels + pixel : pixel * samplesPerPixel + sample) * size
  }
  const put = (pixel: number, sample: number): void => {
    const stored = frame.data[pixel * samplesPerPixel + sample]!
    if (bitsAllocated === 1) {
      const bit = index * pixels + pixel
      const at = bit >> 3
      value[at] = stored ? value[at]! | (1 << (bit & 7)) : value[at]! & ~(1 << (bit & 7))
      return
    }
    for (let byte = 0; byte < size; byte++)
      value[place(pixel, sample) + (encoding.littleEndian ? byte : size - 1 - byte)] =
        (stored >> (8 * byte)) & 0xff
  }
  for (const { left, top, right, bottom } of regions)
    for (let row = top; row < bottom; row++)
      for (let column = left; column < right; column++)
        for (let sample = 0; sample < samplesPerPixel; sample++) put(row * columns + column, sample)
}
