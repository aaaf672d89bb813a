import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createCanvas } from '@napi-rs/canvas'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { instance, type Written } from '../../../../test/support/instance.js'
import { shared } from '../../../../test/support/shared.js'
import type { Instance } from '../deidentify/dicom/element.js'
import { parseInstance } from '../deidentify/dicom/parse.js'
import { cleanPixels, type PixelCleaning, sampledFrames, type TextFinder } from './clean.js'
import { decodeFrame, PIXEL_DATA } from './decode.js'
import { framesOf } from './fragments.js'
import type { Frame } from './frame.js'
import { frameCount } from './picture.js'
import { DEFAULT_PIXEL_POLICY, type PixelPolicy, pixelAction, recognizable } from './policy.js'
import { templateRegions } from './templates.js'
import { TextDetector } from './text/detector.js'
import type { Region } from './text/region.js'

const corpus = shared('data/dicom')
const read = (name: string) => parseInstance(readFileSync(join(corpus!, name)))
const CHECK_ALL: PixelPolicy = {
  ...DEFAULT_PIXEL_POLICY,
  modalities: {},
  other: 'check',
  photographs: 'check',
}
const WHERE: Region = { left: 4, top: 4, right: 20, bottom: 12 }
/** Where every picture shows something. */
const MOST = ({ rows, columns }: { rows: number; columns: number }): Region => ({
  left: 0,
  top: 0,
  right: Math.floor(columns * 0.75),
  bottom: Math.floor(rows * 0.75),
})
const says = (...regions: Region[]): TextFinder => ({ find: async () => regions })

/** The instance with the elements that cleaning changed. */
function rebuilt(source: Instance, { elements }: Extract<PixelCleaning, { kind: 'cleaned' }>): Instance {
  const parts: Buffer[] = []
  let length = 0
  const moved = source.elements.map((element) => {
    const bytes = elements.get(element.tag) ?? source.dataset.subarray(element.start, element.end)
    const [head, tail] = [element.valueStart - element.start, element.end - element.valueEnd]
    const start = length
    length += bytes.length
    parts.push(bytes)
    return { ...element, start, valueStart: start + head, valueEnd: length - tail, end: length }
  })
  return { ...source, dataset: Buffer.concat(parts), elements: moved }
}

async function frame(source: Instance, index: number): Promise<Frame> {
  const decoded = await decodeFrame(source, index)
  if (decoded.kind !== 'frame') throw new Error(JSON.stringify(decoded))
  return decoded.frame
}

async function cleaned(source: Instance, finder: TextFinder, policy = CHECK_ALL) {
  const result = await cleanPixels(source, finder, policy)
  if (result.kind !== 'cleaned') throw new Error(JSON.stringify(result))
  return result
}

/** Samples that differ outside the regions, and the largest difference. */
function outside(
  before: Frame,
  after: Frame,
  regions: readonly Region[],
): { changed: number; worst: number } {
  let [changed, worst] = [0, 0]
  for (let at = 0; at < before.data.length; at++) {
    const pixel = Math.floor(at / before.samplesPerPixel)
    const [x, y] = [pixel % before.columns, Math.floor(pixel / before.columns)]
    if (regions.some((r) => x >= r.left && x < r.right && y >= r.top && y < r.bottom)) continue
    const difference = Math.abs(before.data[at]! - after.data[at]!)
    if (difference > 0) changed++
    worst = Math.max(worst, difference)
  }
  return { changed, worst }
}

describe.skipIf(!corpus)('a region is blacked out of real files, and nothing else changes', () => {
  const lossless = [
    ['explicit little endian', 'MR_small.dcm'],
    ['implicit little endian', 'MR_small_implicit.dcm'],
    ['big endian', 'MR_small_expb.dcm'],
    ['RLE', 'MR_small_RLE.dcm'],
    ['JPEG 2000', 'MR_small_jp2klossless.dcm'],
    ['JPEG-LS', 'MR_small_jpeg_ls_lossless.dcm'],
    ['JPEG lossless', 'CT1_JPLL.dcm'],
    ['HTJ2K, colour', 'HTJ2KLossless_08_RGB.dcm'],
    ['colour by planes, big endian', 'ExplVR_BigEnd.dcm'],
    ['YBR_FULL_422, uncompressed', 'SC_ybr_full_422_uncompressed.dcm'],
    ['palette', 'TestPattern_Palette_16.dcm'],
    ['32 bits', 'SC_rgb_rle_32bit_2frame.dcm'],
    ['one bit a pixel', 'liver_1frame.dcm'],
  ]
  test.each(lossless)('%s', async (_encoding, name) => {
    const source = read(name!)
    const before = await frame(source, 0)
    const where = MOST(before)
    const result = await cleaned(source, says(where))
    const after = await frame(rebuilt(source, result), 0)
    expect(outside(before, after, result.regions)).toEqual({ changed: 0, worst: 0 })
    const inside = new Set<string>()
    for (let y = where.top; y < where.bottom; y++)
      for (let x = where.left; x < where.right; x++) {
        const at = (y * after.columns + x) * after.samplesPerPixel
        inside.add([...after.data.subarray(at, at + after.samplesPerPixel)].join())
      }
    expect(inside.size).toBe(1)
  })

  test('JPEG baseline: the frame that is compressed again stays within 12 of what it was, the others keep their bytes', async () => {
    const source = read('examples_ybr_color.dcm')
    const element = source.elements.find(({ tag }) => tag === PIXEL_DATA)!
    const result = await cleaned(source, says({ left: 2, top: 2, right: 60, bottom: 14 }))
    const after = rebuilt(source, result)
    const pixels = after.elements.find(({ tag }) => tag === PIXEL_DATA)!
    const [old, now] = [
      framesOf(source, element, frameCount(source))!,
      framesOf(after, pixels, frameCount(source))!,
    ]
    expect(result.frames.length).toBeGreaterThan(0)
    for (let index = 0; index < frameCount(source); index++)
      if (result.frames.includes(index)) {
        const { worst } = outside(await frame(source, index), await frame(after, index), [
          { left: 0, top: 0, right: 72, bottom: 24 },
        ])
        expect(worst).toBeLessThanOrEqual(12)
      } else expect(Buffer.concat(now[index]!)).toEqual(Buffer.concat(old[index]!))
  })

  test('what cannot be decoded or written is refused, never passed', async () => {
    for (const [name, reason] of [
      ['JPGExtended.dcm', 'pixels_not_readable'],
      ['will-jxl.dcm', 'pixels_not_readable'],
      ['liver_rle.dcm', 'pixels_not_readable'],
    ] as const)
      expect(await cleanPixels(read(name), says(WHERE), CHECK_ALL), name).toEqual({ kind: 'refused', reason })
  })
})

const LINES = ['ZHANG^WEI', 'DOB 12/03/1961']
function burnedIn(frames: number, withText: readonly number[], more: Written[] = []): Instance {
  const [columns, rows] = [320, 96]
  const pixels = Buffer.alloc(columns * rows * frames)
  for (let index = 0; index < frames; index++) {
    const context = createCanvas(columns, rows).getContext('2d')
    context.fillStyle = '#fff'
    context.font = '18px sans-serif'
    if (withText.includes(index))
      for (const [at, line] of LINES.entries()) context.fillText(line, 12, 30 + at * 34)
    const { data } = context.getImageData(0, 0, columns, rows)
    for (let at = 0; at < columns * rows; at++) pixels[index * columns * rows + at] = data[at * 4]!
  }
  const us = (value: number) => Buffer.from([value & 0xff, value >> 8])
  const file = instance({
    patientName: 'ZHANG^WEI',
    patientId: '1',
    modality: 'US',
    more: [['00280008', 'IS', String(frames)], ...more],
  })
  const source = parseInstance(file)
  const parts = source.elements.map((element) => {
    if (element.tag === 0x00280010)
      return [source.dataset.subarray(element.start, element.valueStart), us(rows)]
    if (element.tag === 0x00280011)
      return [source.dataset.subarray(element.start, element.valueStart), us(columns)]
    if (element.tag !== PIXEL_DATA) return [source.dataset.subarray(element.start, element.end)]
    const header = Buffer.from(source.dataset.subarray(element.start, element.valueStart))
    header.writeUInt32LE(pixels.length, header.length - 4)
    return [header, pixels]
  })
  const start = file.length - source.dataset.length
  return parseInstance(Buffer.concat([file.subarray(0, start), ...parts.flat()]))
}

describe('with the detector', () => {
  let detector: TextDetector
  beforeAll(async () => {
    detector = await TextDetector.load()
  })
  afterAll(() => detector?.close())

  test('text is blacked out of the frames that show it, and the detector finds none any more', async () => {
    const source = burnedIn(4, [1, 2])
    const result = await cleaned(source, detector)
    expect(result.frames).toEqual([1, 2])
    const after = rebuilt(source, result)
    expect(await cleanPixels(after, detector, CHECK_ALL)).toEqual({ kind: 'clean' })
    for (const index of [1, 2]) expect(Math.max(...(await frame(after, index)).data)).toBe(0)
  })

  test.skipIf(!corpus)('what is written into public pictures is covered', async () => {
    const truth = JSON.parse(readFileSync(join(corpus!, 'burned_in_gt.json'), 'utf8')) as {
      regions_xyxy: Record<string, [number, number, number, number][]>
    }
    for (const name of ['US1_UNCR.dcm']) {
      const source = read(name)
      const result = await cleaned(source, detector)
      const [before, after] = [await frame(source, 0), await frame(rebuilt(source, result), 0)]
      for (const [left, top, right, bottom] of truth.regions_xyxy[name]!) {
        let [ink, left_] = [0, 0]
        for (let y = top; y < bottom; y++)
          for (let x = left; x < right; x++) {
            const at = (y * before.columns + x) * before.samplesPerPixel
            if (before.data[at]! < 128) continue
            ink++
            if (after.data[at] === before.data[at]) left_++
          }
        expect(ink, name).toBeGreaterThan(0)
        expect(left_ / ink, `${name} ${left},${top}`).toBeLessThan(0.01)
      }
    }
  })
})

describe('the policy', () => {
  const of = (modality: string, more: Written[] = []) =>
    parseInstance(instance({ patientName: 'A', patientId: '1', modality, more }))

  test('slices are trusted unless they are captures or say that they hold text', () => {
    expect(pixelAction(of('CT'), DEFAULT_PIXEL_POLICY)).toBe('trust')
    expect(pixelAction(of('CT', [['00280301', 'CS', 'YES']]), DEFAULT_PIXEL_POLICY)).toBe('check')
    expect(pixelAction(of('CT', [['00080064', 'CS', 'WSD']]), DEFAULT_PIXEL_POLICY)).toBe('check')
    expect(
      pixelAction(of('CT', [['00080008', 'CS', 'DERIVED\\SECONDARY\\SCREEN SAVE']]), DEFAULT_PIXEL_POLICY),
    ).toBe('check')
  })

  test('risky kinds are looked at whatever they declare; so is what nobody named', () => {
    for (const modality of ['US', 'XA', 'SC', 'CR', 'ZZ'])
      expect(pixelAction(of(modality, [['00280301', 'CS', 'NO']]), DEFAULT_PIXEL_POLICY), modality).toBe(
        'check',
      )
  })

  test('heads are marked, photographs held back', async () => {
    const head = of('MR', [['00180015', 'CS', 'BRAIN']])
    expect(recognizable(head)).toBe('head')
    expect(await cleanPixels(head, says(), DEFAULT_PIXEL_POLICY)).toEqual({
      kind: 'trusted',
      recognizable: 'head',
    })
    expect(await cleanPixels(head, says(), { ...DEFAULT_PIXEL_POLICY, heads: 'quarantine' })).toMatchObject({
      kind: 'refused',
    })
    const face = of('XC', [['00280302', 'CS', 'YES']])
    expect(await cleanPixels(face, says(), DEFAULT_PIXEL_POLICY)).toEqual({
      kind: 'refused',
      reason: 'pixels_by_policy',
    })
  })

  test('the banners of known devices are blacked out whatever is found, cut to the picture', () => {
    const device = (model: string, modality = 'US') =>
      parseInstance(
        instance({
          patientName: 'A',
          patientId: '1',
          modality,
          size: 600,
          more: [
            ['00080070', 'LO', 'Philips Medical Systems'],
            ['00081090', 'LO', model],
          ],
        }),
      )
    expect(templateRegions(device('iU22'))).toEqual([{ left: 0, top: 0, right: 600, bottom: 59 }])
    expect(templateRegions(device('iU22', 'CT'))).toEqual([])
    expect(templateRegions(device('unknown'))).toEqual([])
  })

  test('frames are looked at evenly, the first and the last among them', () => {
    expect(sampledFrames(5, 10)).toEqual([0, 1, 2, 3, 4])
    expect(sampledFrames(101, 5)).toEqual([0, 25, 50, 75, 100])
    expect(sampledFrames(9, 1)).toEqual([0])
  })
})
