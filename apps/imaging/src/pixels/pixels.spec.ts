import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { shared } from '../../../../test/support/shared.js'
import { prepare, resizeArea } from '../analysis/preprocess.js'
import { DicomError } from '../deidentify/dicom/error.js'
import { parseInstance } from '../deidentify/dicom/parse.js'
import { decodeFrame } from './decode.js'
import type { Frame } from './frame.js'
import { toGrayscale } from './grayscale.js'
import { decodeRle } from './rle.js'

const corpus = shared('data/dicom')
const decode = async (name: string) => {
  const decoded = await decodeFrame(parseInstance(readFileSync(join(corpus!, name))))
  if (decoded.kind !== 'frame') throw new Error(`${name}: ${JSON.stringify(decoded)}`)
  return decoded.frame
}

test('RLE: literal and repeated runs, two byte planes', () => {
  const header = Buffer.alloc(64)
  header.writeUInt32LE(2, 0)
  header.writeUInt32LE(64, 4)
  header.writeUInt32LE(68, 8)
  const fragment = Buffer.concat([
    header,
    Buffer.from([0xfd, 1, 0x80, 0x80]),
    Buffer.from([3, 5, 6, 7, 8, 0]),
  ])
  expect([...decodeRle(fragment, 4, 1, 2)!]).toEqual([5, 1, 6, 1, 7, 1, 8, 1])
  expect(decodeRle(fragment.subarray(0, 70), 4, 1, 2)).toBeUndefined()
})

test.skipIf(!corpus)('the same image out of different encodings is the same to the last pixel', async () => {
  const reference = await decode('MR_small.dcm')
  for (const name of [
    'MR_small_RLE.dcm',
    'MR_small_implicit.dcm',
    'MR_small_expb.dcm',
    'MR_small_jp2klossless.dcm',
    'MR_small_jpeg_ls_lossless.dcm',
  ]) {
    expect([...(await decode(name)).data], name).toEqual([...reference.data])
  }
  const liver = await decode('liver.dcm')
  expect([...(await decode('liver_expb.dcm')).data]).toEqual([...liver.data])
})

test.skipIf(!corpus)(
  'every public file is decoded or says why not, and never crashes',
  async () => {
    const kinds = new Map<string, number>()
    for (const name of readdirSync(corpus!).filter((file) => file.endsWith('.dcm'))) {
      try {
        const { kind } = await decodeFrame(parseInstance(readFileSync(join(corpus!, name))))
        kinds.set(kind, (kinds.get(kind) ?? 0) + 1)
      } catch (error) {
        expect(error, name).toBeInstanceOf(DicomError)
      }
    }
    expect(kinds.get('frame')).toBeGreaterThan(100)
  },
  60_000,
)

const frame = (data: Frame['data'], photometric = 'MONOCHROME2', samplesPerPixel = 1): Frame => ({
  rows: 1,
  columns: data.length / samplesPerPixel,
  samplesPerPixel,
  photometric,
  bitsStored: 16,
  signed: false,
  data,
})

test('shades follow window, rescale and photometric interpretation', () => {
  const ramp = Uint16Array.of(0, 52, 200)
  const shades = (f: Frame, window?: { center: number; width: number }, slope = 1, intercept = 0) => [
    ...toGrayscale(f, { slope, intercept, ...(window ? { window } : {}) }).data,
  ]
  expect(shades(frame(ramp))).toEqual([0, 66, 255])
  expect(shades(frame(ramp, 'MONOCHROME1'))).toEqual([255, 189, 0])
  expect(shades(frame(ramp), { center: 50.5, width: 201 })).toEqual([64, 130, 255])
  expect(shades(frame(ramp), { center: -949.5, width: 201 }, 1, -1000)).toEqual([64, 130, 255])
  expect(shades(frame(Uint16Array.of(255, 0, 0, 0, 255, 0, 0, 0, 0), 'RGB', 3))).toEqual([130, 255, 0])
})

test('area resampling keeps an image of the right size and the mean of any other', () => {
  const image = { width: 4, height: 4, data: Uint8Array.from({ length: 16 }, (_, at) => at * 10) }
  expect([...resizeArea(image, 4, 4)]).toEqual([...image.data])
  expect([...resizeArea(image, 2, 2)]).toEqual([25, 45, 105, 125])
  const odd = resizeArea({ width: 5, height: 3, data: new Uint8Array(15).fill(7) }, 2, 2)
  for (const value of odd) expect(value).toBeCloseTo(7, 5)
})

test('what is no image for the model is refused with the reason', () => {
  const card = JSON.parse(readFileSync('models/chest-xray-pneumonia/v1/card.json', 'utf8'))
  const image = (size: number, fill?: number) => ({
    width: size,
    height: size,
    data: Uint8Array.from({ length: size * size }, (_, at) => fill ?? at % 251),
  })
  expect(prepare(card, 'CT', image(28))).toMatchObject({ reason: 'modality' })
  expect(prepare(card, 'CR', image(20))).toMatchObject({ reason: 'too_small' })
  expect(prepare(card, 'CR', image(64, 9))).toMatchObject({ reason: 'empty' })
  expect(prepare(card, 'DX', image(64))).toMatchObject({ kind: 'prepared', input: { dims: [1, 1, 28, 28] } })
})
