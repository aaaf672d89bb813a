import type { Picture } from '../picture.js'
import type { Region } from './region.js'

/** Mean and deviation of red, green and blue that a network was trained with, for values from 0 to 1. */
export interface Normalisation {
  mean: readonly [number, number, number]
  deviation: readonly [number, number, number]
}

/**
 * A part of a picture at another size (bilinear), as a network takes it: planes blue, green, red, each value less the
 * mean, over the deviation.
 */
export function resample(
  { width, height, rgb }: Picture,
  { left, top, right, bottom }: Region,
  toWidth: number,
  toHeight: number,
  { mean, deviation }: Normalisation,
): Float32Array {
  const out = new Float32Array(3 * toWidth * toHeight)
  const [stepX, stepY] = [(right - left) / toWidth, (bottom - top) / toHeight]
  const plane = toWidth * toHeight
  for (let y = 0; y < toHeight; y++) {
    const sy = Math.min(Math.max(top + (y + 0.5) * stepY - 0.5, 0), height - 1)
    const y0 = Math.floor(sy)
    const y1 = Math.min(y0 + 1, height - 1)
    for (let x = 0; x < toWidth; x++) {
      const sx = Math.min(Math.max(left + (x + 0.5) * stepX - 0.5, 0), width - 1)
      const x0 = Math.floor(sx)
      const x1 = Math.min(x0 + 1, width - 1)
      const [fx, fy] = [sx - x0, sy - y0]
      const [a, b, c, d] = [y0 * width + x0, y0 * width + x1, y1 * width + x0, y1 * width + x1]
      for (let channel = 0; channel < 3; channel++) {
        const upper = rgb[a * 3 + channel]! * (1 - fx) + rgb[b * 3 + channel]! * fx
        const lower = rgb[c * 3 + channel]! * (1 - fx) + rgb[d * 3 + channel]! * fx
        const value = (upper * (1 - fy) + lower * fy) / 255
        out[(2 - channel) * plane + y * toWidth + x] = (value - mean[2 - channel]!) / deviation[2 - channel]!
      }
    }
  }
  return out
}
