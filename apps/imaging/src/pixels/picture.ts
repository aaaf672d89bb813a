import { bytesOf, type Instance, textOf, ushortOf } from '../deidentify/dicom/element.js'
import type { Frame } from './frame.js'
import { rangeOf, shadingOf, toGrayscale } from './grayscale.js'

/** What a person would see of a frame: red, green and blue from 0 to 255, pixel by pixel, rows from the top. */
export interface Picture {
  width: number
  height: number
  rgb: Uint8Array
}

/** Share of a frame's range beyond its window from which on the whole range is looked at too. */
const HIDDEN = 0.05

const clamp = (value: number): number => (value < 0 ? 0 : value > 255 ? 255 : Math.round(value))

function fromGray(width: number, height: number, gray: Uint8Array): Picture {
  const rgb = new Uint8Array(gray.length * 3)
  for (const [at, value] of gray.entries()) rgb.fill(value, at * 3, at * 3 + 3)
  return { width, height, rgb }
}

/** Colours as they are; YBR turned into RGB (ITU-T T.871). Samples deeper than 8 bits are scaled down. */
function fromColour({ columns, rows, data, photometric, bitsStored }: Frame): Picture {
  const rgb = new Uint8Array(rows * columns * 3)
  const scale = 255 / (2 ** Math.min(bitsStored, 32) - 1)
  const ybr = photometric.startsWith('YBR')
  for (let at = 0; at < rgb.length; at += 3) {
    const [a, b, c] = [data[at]! * scale, data[at + 1]! * scale, data[at + 2]! * scale]
    rgb[at] = clamp(ybr ? a + 1.402 * (c - 128) : a)
    rgb[at + 1] = clamp(ybr ? a - 0.344136 * (b - 128) - 0.714136 * (c - 128) : b)
    rgb[at + 2] = clamp(ybr ? a + 1.772 * (b - 128) : c)
  }
  return { width: columns, height: rows, rgb }
}

/** One colour of a palette as 0 to 255 for each index; undefined where the instance has no plain table (PS3.3 C.7.9). */
function paletteOf(
  instance: Instance,
  descriptor: number,
  table: number,
): ((index: number) => number) | undefined {
  const [head, body] = [descriptor, table].map((tag) => instance.elements.find((e) => e.tag === tag))
  if (!head || !body || head.valueEnd - head.valueStart < 6) return undefined
  const short = (bytes: Buffer, at: number) =>
    instance.encoding.littleEndian ? bytes.readUInt16LE(at) : bytes.readUInt16BE(at)
  const [count, first, bits] = [0, 2, 4].map((at) => short(bytesOf(instance.dataset, head), at))
  const entries = bytesOf(instance.dataset, body)
  const length = count === 0 ? 65_536 : count!
  const wide = entries.length >= length * 2
  return (index) => {
    const at = Math.min(Math.max(index - first!, 0), length - 1)
    if (!wide) return entries[at] ?? 0
    const value = at * 2 + 2 <= entries.length ? short(entries, at * 2) : 0
    return bits === 16 ? value >> 8 : value & 0xff
  }
}

type Channels = [(index: number) => number, (index: number) => number, (index: number) => number]

function channelsOf(instance: Instance): Channels | undefined {
  const [red, green, blue] = [0, 1, 2].map((at) => paletteOf(instance, 0x00281101 + at, 0x00281201 + at))
  return red && green && blue ? [red, green, blue] : undefined
}

/** The index of the darkest colour that a frame of a palette uses; its lowest index where there is no plain table. */
export function darkestIndex(instance: Instance, { data }: Frame): number {
  const channels = channelsOf(instance)
  const used = [...new Set(data)].sort((a, b) => a - b)
  if (!channels) return used[0] ?? 0
  const shade = (index: number) => channels.reduce((sum, channel) => sum + channel(index), 0)
  return used.reduce((darkest, index) => (shade(index) < shade(darkest) ? index : darkest), used[0] ?? 0)
}

function fromPalette(instance: Instance, { columns, rows, data }: Frame): Picture | undefined {
  const channels = channelsOf(instance)
  if (!channels) return undefined
  const [red, green, blue] = channels
  const rgb = new Uint8Array(rows * columns * 3)
  for (let at = 0; at < rows * columns; at++) {
    const index = data[at]!
    rgb.set([red(index), green(index), blue(index)], at * 3)
  }
  return { width: columns, height: rows, rgb }
}

/**
 * The ways in which a frame may be looked at: as its window shows it, and over its whole range where the two differ,
 * because text can lie beyond the window.
 */
export function picturesOf(instance: Instance, frame: Frame): Picture[] {
  if (frame.samplesPerPixel >= 3) return [fromColour(frame)]
  if (frame.photometric === 'PALETTE COLOR') {
    const picture = fromPalette(instance, frame)
    if (picture) return [picture]
  }
  const shading = shadingOf(instance)
  const gray = (window: typeof shading.window) => {
    const { width, height, data } = toGrayscale(frame, { ...shading, window })
    return fromGray(width, height, data)
  }
  const { window } = shading
  if (!window) return [gray(undefined)]
  const { low, high } = rangeOf(frame, shading)
  const beyond = Math.max(window.center - window.width / 2 - low, high - window.center - window.width / 2)
  return beyond > (high - low) * HIDDEN ? [gray(window), gray(undefined)] : [gray(window)]
}

/** Number of frames that the header states, at least one. */
export const frameCount = (instance: Instance): number =>
  Math.max(1, Number.parseInt(textOf(instance, 0x00280008) ?? '1', 10) || 1)

/** Rows times columns that the header states. */
export const pixelCount = (instance: Instance): number =>
  (ushortOf(instance, 0x00280010) ?? 0) * (ushortOf(instance, 0x00280011) ?? 0)
