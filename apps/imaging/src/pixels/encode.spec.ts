import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Instance } from '../deidentify/dicom/element.js'
import { DECOMPRESSOR, decompress } from './codecs.js'
import { RLE } from './decode.js'
import { encodeFrame } from './encode.js'
import { encapsulate, framesOf } from './fragments.js'
import type { Frame } from './frame.js'
import { decodeRle } from './rle.js'

const inSyntax = (transferSyntax: string) =>
  ({ transferSyntax, elements: [], dataset: Buffer.alloc(0) }) as unknown as Instance

/** A frame of noise over a gradient: runs, edges and every bit of the precision. */
const frames = (samplesPerPixel: number, precision: number) =>
  fc
    .tuple(
      fc.integer({ min: 2, max: 40 }),
      fc.integer({ min: 2, max: 40 }),
      fc.infiniteStream(fc.nat(2 ** 16 - 1)),
    )
    .map(([columns, rows, noise]): Frame => {
      const length = columns * rows * samplesPerPixel
      const data = precision > 8 ? new Uint16Array(length) : new Uint8Array(length)
      let held = 0
      for (let at = 0; at < length; at++) {
        const next = noise.next().value as number
        if (next % 3 > 0) held = next % 2 ** precision
        data[at] = held
      }
      return {
        rows,
        columns,
        samplesPerPixel,
        photometric: samplesPerPixel === 3 ? 'RGB' : 'MONOCHROME2',
        bitsStored: precision,
        signed: false,
        coded: { precision, signed: false },
        data,
      }
    })

const LOSSLESS = ['57', '70', '80', '81', '90', '91', '201', '202', '203'].map(
  (end) => `1.2.840.10008.1.2.4.${end}`,
)

test.each(LOSSLESS)('%s: what is compressed again comes back to the last bit', async (syntax) => {
  for (const [samples, precision] of [
    [1, 8],
    [1, 12],
    [1, 16],
    [3, 8],
  ] as const)
    await fc.assert(
      fc.asyncProperty(frames(samples, precision), async (frame) => {
        const { data, ...size } = await decompress(
          DECOMPRESSOR[syntax]!,
          await encodeFrame(frame, inSyntax(syntax)),
        )
        expect(size).toMatchObject({ columns: frame.columns, rows: frame.rows, samples })
        const back = precision > 8 ? new Uint16Array(new Uint8Array(data).buffer) : new Uint8Array(data)
        expect(back).toEqual(frame.data)
      }),
      { numRuns: 12 },
    )
})

test('RLE: what is compressed again comes back to the last bit', async () => {
  for (const [samples, precision] of [
    [1, 8],
    [1, 16],
    [3, 8],
    [3, 16],
  ] as const)
    await fc.assert(
      fc.asyncProperty(frames(samples, precision), async (frame) => {
        const bytes = precision / 8
        const coded = await encodeFrame(frame, inSyntax(RLE))
        const back = decodeRle(coded, frame.rows * frame.columns, samples, bytes)
        expect(back).toEqual(Buffer.from(frame.data.buffer))
      }),
      { numRuns: 25 },
    )
})

test('JPEG baseline: noise is compressed too, at a lower quality where the best needs too much room', async () => {
  const data = Uint8Array.from({ length: 64 * 64 }, (_, at) => Math.imul(at + 1, 2_654_435_761) >>> 24)
  const frame = {
    rows: 64,
    columns: 64,
    samplesPerPixel: 1,
    photometric: 'MONOCHROME2',
    bitsStored: 8,
    signed: false,
    data,
  }
  const back = await decompress('jpeg', await encodeFrame(frame, inSyntax('1.2.840.10008.1.2.4.50')))
  expect(back).toMatchObject({ columns: 64, rows: 64 })
})

test('JPEG baseline: close to what it was, and of the same size', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 40, max: 90 }),
      fc.integer({ min: 40, max: 90 }),
      async (columns, rows) => {
        const data = Uint8Array.from(
          { length: columns * rows },
          (_, at) => 64 + ((at % columns) * 128) / columns,
        )
        const frame = {
          rows,
          columns,
          samplesPerPixel: 1,
          photometric: 'MONOCHROME2',
          bitsStored: 8,
          signed: false,
          data,
        }
        const back = await decompress('jpeg', await encodeFrame(frame, inSyntax('1.2.840.10008.1.2.4.50')))
        expect(back).toMatchObject({ columns, rows, samples: 1 })
        for (const [at, value] of data.entries())
          expect(Math.abs(back.data[at]! - value)).toBeLessThanOrEqual(2)
      },
    ),
    { numRuns: 15 },
  )
})

test('frames out of many fragments are found by either table of offsets', () => {
  const fragment = fc
    .uint8Array({ minLength: 2, maxLength: 30 })
    .map((bytes) => Buffer.from(bytes.subarray(0, bytes.length & ~1)))
  const several = fc.array(fc.array(fragment, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 5 })
  fc.assert(
    fc.property(several, fc.boolean(), (frames, extended) => {
      const { value, places } = encapsulate(frames, extended)
      const offsets = Buffer.alloc(frames.length * 8)
      for (const [at, { offset }] of places.entries()) offsets.writeBigUInt64LE(BigInt(offset), at * 8)
      const dataset = Buffer.concat([offsets, value])
      const pixels = {
        tag: 0x7fe00010,
        vr: 'OB',
        start: 0,
        valueStart: offsets.length,
        valueEnd: dataset.length,
        end: dataset.length,
      }
      const table = {
        tag: 0x7fe00001,
        vr: 'OV',
        start: 0,
        valueStart: 0,
        valueEnd: offsets.length,
        end: offsets.length,
      }
      const instance = { dataset, elements: extended ? [table, pixels] : [pixels] } as unknown as Instance
      const found = framesOf(instance, pixels, frames.length)
      expect(found?.map((group) => Buffer.concat(group))).toEqual(frames.map((group) => Buffer.concat(group)))
    }),
  )
})
