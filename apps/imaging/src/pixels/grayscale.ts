import { type Instance, textOf } from '../deidentify/dicom/element.js'
import type { Frame } from './frame.js'

/** An 8-bit picture, 0 black to 255 white, rows from the top. */
export interface Grayscale {
  width: number
  height: number
  data: Uint8Array
}

const decimal = (text: string | undefined): number | undefined => {
  const value = Number.parseFloat(text?.split('\\')[0] ?? '')
  return Number.isFinite(value) ? value : undefined
}

/** What turns stored values into shades: rescale and window of the instance (PS3.3 C.11.1, C.11.2). */
export interface Shading {
  slope: number
  intercept: number
  window?: { center: number; width: number }
}

/** Rescale and first window as the instance states them. */
export function shadingOf(instance: Instance): Shading {
  const [center, width] = [decimal(textOf(instance, 0x00281050)), decimal(textOf(instance, 0x00281051))]
  return {
    slope: decimal(textOf(instance, 0x00281053)) ?? 1,
    intercept: decimal(textOf(instance, 0x00281052)) ?? 0,
    ...(center !== undefined && width !== undefined && width >= 1 ? { window: { center, width } } : {}),
  }
}

/** Luminance of a colour pixel (ITU-R BT.601), or the one sample there is. */
function luminances({
  data,
  samplesPerPixel,
  rows,
  columns,
  photometric,
  signed,
  bitsStored,
}: Frame): Float64Array {
  const out = new Float64Array(rows * columns)
  const luma = photometric.startsWith('YBR')
  // Overlay bits above the stored ones are not part of the value (PS3.5 8.1.1).
  const mask = signed ? -1 : 2 ** bitsStored - 1
  for (let at = 0; at < out.length; at++) {
    if (samplesPerPixel === 1) out[at] = bitsStored < 32 ? data[at]! & mask : data[at]!
    else if (luma) out[at] = data[at * samplesPerPixel]!
    else
      out[at] =
        0.299 * data[at * samplesPerPixel]! +
        0.587 * data[at * samplesPerPixel + 1]! +
        0.114 * data[at * samplesPerPixel + 2]!
  }
  return out
}

/** Lowest and highest value of a frame, rescaled. */
export function rangeOf(frame: Frame, { slope, intercept }: Shading): { low: number; high: number } {
  return range(luminances(frame).map((value) => value * slope + intercept))
}

function range(values: Float64Array): { low: number; high: number } {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  for (const value of values) {
    if (value < low) low = value
    if (value > high) high = value
  }
  return { low, high }
}

/** A frame as shades: window of the instance, else its whole range; MONOCHROME1 is turned over so that bone is white. */
export function toGrayscale(frame: Frame, { slope, intercept, window }: Shading): Grayscale {
  const values = luminances(frame).map((value) => value * slope + intercept)
  const { low, high } = window
    ? {
        low: window.center - 0.5 - (window.width - 1) / 2,
        high: window.center - 0.5 + (window.width - 1) / 2,
      }
    : range(values)
  const scale = high > low ? 255 / (high - low) : 0
  const inverted = frame.photometric === 'MONOCHROME1'
  const data = Uint8Array.from(values, (value) => {
    const shade = Math.round(Math.min(255, Math.max(0, (value - low) * scale)))
    return inverted ? 255 - shade : shade
  })
  return { width: frame.columns, height: frame.rows, data }
}
