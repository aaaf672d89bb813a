import { describe, expect, test } from 'vitest'
import { deidentify } from '../../../apps/imaging/src/deidentify/deidentify.js'
import { parseInstance } from '../../../apps/imaging/src/deidentify/dicom/parse.js'
import { decodeFrame } from '../../../apps/imaging/src/pixels/decode.js'
import type { Kind } from './phantom.js'
import { simulateInstance } from './study.js'
import { SYNTAXES, type Syntax } from './write.js'

const KINDS: Kind[] = ['CT', 'MR', 'CR', 'US', 'US-CINE']
const keys = { uid: Buffer.alloc(32, 1), patient: Buffer.alloc(32, 2), date: Buffer.alloc(32, 3) }

test('the same seed gives the same file', () => {
  const make = (seed: number) => simulateInstance({ seed, kind: 'MR' }).bytes
  expect(make(5).equals(make(5))).toBe(true)
  expect(make(5).equals(make(6))).toBe(false)
})

describe.each(KINDS)('%s', (kind) => {
  test.each(Object.keys(SYNTAXES) as Syntax[])(
    'in %s is readable, holds what was planted, and nothing of it after de-identification',
    async (syntax) => {
      const { bytes, planted } = simulateInstance({ seed: 42, kind, syntax })
      const instance = parseInstance(bytes)
      expect((await decodeFrame(instance)).kind).toBe('frame')
      for (const { value } of planted)
        expect(instance.dataset.includes(Buffer.from(value, 'utf8'))).toBe(true)
      const result = deidentify(bytes, { options: [], keys })
      if (result.kind !== 'clean') throw new Error(JSON.stringify(result))
      const after = parseInstance(result.bytes).dataset
      for (const { value } of planted) {
        for (const word of value.split(/[\s^]+/).filter((part) => part.length >= 6)) {
          expect(after.includes(Buffer.from(word, 'utf8')), word).toBe(false)
        }
      }
    },
  )

  test('with burned-in text has it in the pixels, and is not passed on', async () => {
    const plain = simulateInstance({ seed: 42, kind })
    const marked = simulateInstance({ seed: 42, kind, burnedIn: true })
    expect(marked.planted.filter(({ category }) => category === 'pixels').length).toBeGreaterThanOrEqual(3)
    const pixels = async (bytes: Buffer) => {
      const decoded = await decodeFrame(parseInstance(bytes))
      return decoded.kind === 'frame' ? decoded.frame.data : new Uint8Array()
    }
    const [before, after] = [await pixels(plain.bytes), await pixels(marked.bytes)]
    expect(after.filter((value, at) => value !== before[at]).length).toBeGreaterThan(500)
    expect(deidentify(marked.bytes, { options: [], keys })).toMatchObject({
      kind: 'quarantined',
      reason: 'burned_in_text_possible',
    })
  })
})
