import { createCanvas, GlobalFonts, type SKRSContext2D } from '@napi-rs/canvas'
import type { Picture } from '../../../apps/imaging/src/pixels/picture.js'
import type { Region } from '../../../apps/imaging/src/pixels/text/region.js'
import { createPhantom, type Kind } from '../../simulate/dicom/phantom.js'
import type { Random } from '../../simulate/random.js'

/** A word drawn into a picture, where its ink lies. */
export interface PlantedWord extends Region {
  text: string
  size: number
}

/** A picture with words burned in, and what must be found. */
export interface BurnedIn {
  picture: Picture
  words: PlantedWord[]
  kind: Kind
  font: string
}

const KINDS: readonly Kind[] = ['US', 'CT', 'MR', 'CR']
const SIZES = [11, 12, 14, 16, 18, 20, 24, 28] as const
const NAMES = ['SCHMIDT', 'Okonkwo', 'NGUYEN^THI', 'Petrova', 'DUBOIS', 'Haraldsson', 'LI WEI', "O'Brien"]
const PLACES = ['St. Vincent', 'CITY HOSPITAL', 'Klinikum Nord', 'RADIOLOGY 3', 'Room 12B']

/** Families of the system that hold Latin letters, in a fixed order. */
export const fontFamilies = (): string[] =>
  GlobalFonts.families
    .map(({ family }) => family)
    .filter((family) => !/emoji|symbol|dingbat|math/i.test(family))
    .sort()

const digits = (random: Random, count: number) =>
  Array.from({ length: count }, () => random.below(10)).join('')

function phrase(random: Random): string {
  const kinds = [
    () => random.pick(NAMES),
    () => random.pick(PLACES),
    () => `ID ${digits(random, 8)}`,
    () => `DOB: ${digits(random, 2)}/${digits(random, 2)}/19${digits(random, 2)}`,
    () => `20${digits(random, 2)}-0${1 + random.below(9)}-1${random.below(10)} 14:${digits(random, 2)}`,
    () => `Acc ${digits(random, 6)}`,
  ]
  return random.pick(kinds)()
}

/** Draws a phrase and returns the box of each word's ink. */
function write(context: SKRSContext2D, text: string, x: number, y: number, size: number): PlantedWord[] {
  context.fillText(text, x, y)
  return text.split(' ').map((word, at, words) => {
    const before = context.measureText(words.slice(0, at).join(' ') + (at ? ' ' : '')).width
    const ink = context.measureText(word)
    return {
      text: word,
      size,
      left: Math.floor(x + before - ink.actualBoundingBoxLeft),
      right: Math.ceil(x + before + ink.actualBoundingBoxRight),
      top: Math.floor(y - ink.actualBoundingBoxAscent),
      bottom: Math.ceil(y + ink.actualBoundingBoxDescent),
    }
  })
}

/** A phantom with about eight lines of identifying text in one font, at one of many sizes and contrasts. */
export function burnIn(random: Random, index: number, families: readonly string[]): BurnedIn {
  const kind = KINDS[index % KINDS.length]!
  const font = families[index % families.length]!
  const { rows, columns, shades } = createPhantom(kind, random)
  const canvas = createCanvas(columns, rows)
  const context = canvas.getContext('2d')
  const image = context.createImageData(columns, rows)
  for (let at = 0; at < rows * columns; at++) {
    const shade = Math.round(shades[at]! * 160)
    image.data.set([shade, shade, shade, 255], at * 4)
  }
  context.putImageData(image, 0, 0)
  const words: PlantedWord[] = []
  const lines = 8
  for (let line = 0; line < lines; line++) {
    const size = random.pick(SIZES)
    const ink = 190 + random.below(66)
    context.font = `${size}px "${font}"`
    context.fillStyle = `rgb(${ink}, ${ink}, ${ink})`
    const text = phrase(random)
    const room = columns - context.measureText(text).width - 8
    if (room < 4) continue
    const y = Math.round(((line + 0.8) * rows) / lines)
    words.push(...write(context, text, 4 + Math.round(random.next() * room), y, size))
  }
  const { data } = context.getImageData(0, 0, columns, rows)
  const rgb = new Uint8Array(rows * columns * 3)
  for (let at = 0; at < rows * columns; at++) rgb.set(data.subarray(at * 4, at * 4 + 3), at * 3)
  return { picture: { width: columns, height: rows, rgb }, words, kind, font }
}

/** Share of a word's box that regions cover, 0 to 1. */
export function coverage(word: Region, regions: readonly Region[]): number {
  let covered = 0
  for (let y = word.top; y < word.bottom; y++)
    for (let x = word.left; x < word.right; x++)
      if (regions.some((r) => x >= r.left && x < r.right && y >= r.top && y < r.bottom)) covered++
  return covered / ((word.right - word.left) * (word.bottom - word.top))
}
