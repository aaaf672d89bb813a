import type { Frame } from './frame.js'
import type { Region } from './text/region.js'

/** What stands for black in each sample of a pixel. */
function black({ photometric, samplesPerPixel, data, signed, bitsStored }: Frame, darkest: number): number[] {
  if (photometric.startsWith('YBR')) return [0, 128, 128]
  if (samplesPerPixel > 1) return new Array(samplesPerPixel).fill(0)
  if (photometric === 'PALETTE COLOR') return [darkest]
  if (photometric === 'MONOCHROME1') return [signed ? 2 ** (bitsStored - 1) - 1 : 2 ** bitsStored - 1]
  // The darkest value that the frame has: the lowest possible one would move its window.
  let least = signed ? 0 : 2 ** bitsStored - 1
  for (const value of data) if (value < least) least = value
  return [least]
}

/** Whether a region shows anything at all: an even area holds no text. */
export function showsSomething({ data, columns, samplesPerPixel }: Frame, region: Region): boolean {
  const first = (region.top * columns + region.left) * samplesPerPixel
  for (let row = region.top; row < region.bottom; row++)
    for (let at = region.left * samplesPerPixel; at < region.right * samplesPerPixel; at++)
      if (data[row * columns * samplesPerPixel + at] !== data[first + (at % samplesPerPixel)]) return true
  return false
}

/** Blacks the regions out, in place; `darkest` is the index of the darkest colour of a palette. */
export function blackOut(frame: Frame, regions: readonly Region[], darkest = 0): void {
  const { data, columns, samplesPerPixel } = frame
  const value = black(frame, darkest)
  for (const { left, top, right, bottom } of regions)
    for (let row = top; row < bottom; row++)
      for (let column = left; column < right; column++)
        for (let sample = 0; sample < samplesPerPixel; sample++)
          data[(row * columns + column) * samplesPerPixel + sample] = value[sample]!
}
