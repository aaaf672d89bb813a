import fc from 'fast-check'
import { expect, test } from 'vitest'
import { textRegions } from './components.js'
import { isLaterality, readLine } from './laterality.js'
import { grow, merge, type Region } from './region.js'
import { resample } from './resample.js'

const WIDTH = 60
const HEIGHT = 40
const region = fc
  .tuple(
    fc.nat(WIDTH - 3),
    fc.nat(HEIGHT - 3),
    fc.integer({ min: 2, max: 20 }),
    fc.integer({ min: 2, max: 12 }),
  )
  .map(
    ([left, top, width, height]): Region => ({
      left,
      top,
      right: Math.min(WIDTH, left + width),
      bottom: Math.min(HEIGHT, top + height),
    }),
  )

const holds = (regions: readonly Region[], x: number, y: number): boolean =>
  regions.some((r) => x >= r.left && x < r.right && y >= r.top && y < r.bottom)

test('merging never uncovers a pixel', () => {
  fc.assert(
    fc.property(fc.array(region, { maxLength: 12 }), (regions) => {
      const merged = merge(regions)
      expect(merged.length).toBeLessThanOrEqual(regions.length)
      for (const { left, top, right, bottom } of regions)
        for (let y = top; y < bottom; y++)
          for (let x = left; x < right; x++) expect(holds(merged, x, y)).toBe(true)
    }),
  )
})

test('a grown rectangle stays in the picture', () => {
  fc.assert(
    fc.property(region, fc.nat(50), (r, by) => {
      const { left, top, right, bottom } = grow(r, by, WIDTH, HEIGHT)
      expect([left >= 0, top >= 0, right <= WIDTH, bottom <= HEIGHT]).toEqual([true, true, true, true])
      expect(left <= r.left && top <= r.top && right >= r.right && bottom >= r.bottom).toBe(true)
    }),
  )
})

test('every likely point of a patch that is text lies in a region; faint and tall patches are none', () => {
  fc.assert(
    fc.property(region, fc.double({ min: 0.45, max: 1, noNaN: true }), (patch, likelihood) => {
      const data = new Float32Array(WIDTH * HEIGHT)
      for (let y = patch.top; y < patch.bottom; y++)
        data.fill(likelihood, y * WIDTH + patch.left, y * WIDTH + patch.right)
      const found = textRegions({ width: WIDTH, height: HEIGHT, data }, HEIGHT)
      for (let y = patch.top; y < patch.bottom; y++)
        for (let x = patch.left; x < patch.right; x++) expect(holds(found, x, y)).toBe(true)
      const faint = data.map((value) => value * 0.6)
      if (likelihood < 0.6)
        expect(textRegions({ width: WIDTH, height: HEIGHT, data: faint }, HEIGHT)).toEqual([])
      if (likelihood < 0.7) expect(textRegions({ width: WIDTH, height: HEIGHT, data }, 1)).toEqual([])
    }),
  )
})

test('only laterality marks are spared', () => {
  for (const mark of ['L', 'R', ' LT', 'RIGHT', '(R)']) expect(isLaterality(mark)).toBe(true)
  for (const text of ['LI', 'Lee', 'R. DOE', 'LR', '', 'l', '1', 'RT 12', 'DOE^L'])
    expect(isLaterality(text)).toBe(false)
})

test('a line is read by the likeliest class of each step; repetitions need a blank between them', () => {
  const letters = ['A', 'B']
  const steps = (classes: number[]) => {
    const data = new Float32Array(classes.length * 4).fill(0.02)
    for (const [step, at] of classes.entries()) data[step * 4 + at] = 0.9
    return data
  }
  expect(readLine(steps([1, 1, 0, 1, 2, 2, 3, 0]), 4, letters).text).toBe('AAB ')
  expect(readLine(steps([1]), 4, letters).confidence).toBeCloseTo(0.9)
  expect(readLine(steps([0, 0]), 4, letters)).toEqual({ text: '', confidence: 0 })
})

test('a picture at its own size is the picture, channels turned round and normalised', () => {
  const rgb = Uint8Array.from({ length: 4 * 3 * 3 }, (_, at) => (at * 7) % 256)
  const plain = { mean: [0, 0, 0], deviation: [1, 1, 1] } as const
  const out = resample({ width: 4, height: 3, rgb }, { left: 0, top: 0, right: 4, bottom: 3 }, 4, 3, plain)
  for (let pixel = 0; pixel < 12; pixel++)
    for (let channel = 0; channel < 3; channel++)
      expect(out[(2 - channel) * 12 + pixel]).toBeCloseTo(rgb[pixel * 3 + channel]! / 255, 5)
})
