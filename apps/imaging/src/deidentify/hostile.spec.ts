import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Content, datasetOf, fileOf, SYNTAX, wrap } from '../../../../test/support/dicom.js'
import { changes, mutated } from '../../../../test/support/mutate.js'
import { shared } from '../../../../test/support/shared.js'
import { deidentify } from './deidentify.js'
import { RangedBytes } from './dicom/bytes.js'
import { LIMITS } from './dicom/limits.js'
import { parseInstance } from './dicom/parse.js'
import type { Order } from './order.js'

const keys = { uid: Buffer.alloc(32, 1), patient: Buffer.alloc(32, 2), date: Buffer.alloc(32, 3) }
const order: Order = { options: [], keys, policies: { uncheckedPixels: 'pass', documents: 'blank' } }
const CT: Content[] = [
  [0x00080016, 'UI', '1.2.840.10008.5.1.4.1.1.2'],
  [0x00080018, 'UI', '1.2.3.4'],
  [0x00080060, 'CS', 'CT'],
]
const deep = (levels: number): Content[] =>
  levels === 0 ? [[0x00080060, 'CS', 'CT']] : [[0x00400275, 'SQ', [deep(levels - 1)]]]
const explicit = { explicit: true, big: false }
/** A data set with an element whose header claims a length. */
const claiming = (vr: string, length: number, bytes = Buffer.alloc(2), tag = 0x7fe00010): Buffer => {
  const element = datasetOf([[tag, vr, '']], explicit)
  element.writeUInt32LE(length >>> 0, 8)
  return wrap(Buffer.concat([datasetOf(CT, explicit), element, bytes]), SYNTAX.le)
}
const item = (length: number) => {
  const bytes = Buffer.from('feff00e000000000', 'hex')
  bytes.writeUInt32LE(length >>> 0, 4)
  return bytes
}

describe('hostile input is refused with its place, in bounded time and memory', () => {
  test.each<[string, Buffer, string, RegExp | undefined]>([
    [
      'not DICOM',
      Buffer.from('%PDF-1.7 not an image at all, but long enough to look at'),
      'not_dicom',
      undefined,
    ],
    ['nothing', Buffer.alloc(0), 'not_dicom', undefined],
    ['only a preamble', Buffer.concat([Buffer.alloc(128), Buffer.from('DICM')]), 'not_dicom', undefined],
    ['a file that was cut', fileOf(CT).subarray(0, -1), 'invalid_length', /00080060/],
    ['nesting 200 deep', fileOf([...CT, ...deep(200)]), 'too_deep', /00400275\.00400275/],
    ['a length past the end', claiming('OW', 0x7fffffff), 'invalid_length', /7FE00010/],
    ['a length of 4 GiB less two', claiming('OW', 0xfffffffe), 'invalid_length', /7FE00010/],
    ['fragments without an end', claiming('OB', 0xffffffff, item(0)), 'truncated', /7FE00010/],
    ['a fragment past the end', claiming('OB', 0xffffffff, item(0x7ffffff0)), 'invalid_length', /7FE00010/],
    [
      'items of undefined length that never end',
      claiming('SQ', 0xffffffff, item(0xffffffff), 0x00400275),
      'truncated',
      /00400275/,
    ],
    [
      'a sequence of something else',
      claiming('SQ', 0xffffffff, Buffer.alloc(8, 1), 0x00400275),
      'invalid_sequence',
      /00400275/,
    ],
    [
      'undefined length where there is none',
      claiming('UT', 0xffffffff, Buffer.alloc(8), 0x0040a160),
      'invalid_length',
      /0040A160/,
    ],
    [
      'a VR that is none',
      wrap(
        Buffer.concat([datasetOf(CT, explicit), Buffer.from('1000100000000200', 'hex'), Buffer.from('AA')]),
        SYNTAX.le,
      ),
      'invalid_vr',
      /00100010/,
    ],
    ['an invented transfer syntax', fileOf(CT, '1.2.3.4.5'), 'invalid_transfer_syntax', undefined],
    [
      'a transfer syntax with a path in it',
      fileOf(CT, '../../etc/passwd'),
      'invalid_transfer_syntax',
      undefined,
    ],
    [
      'a text of five megabytes',
      fileOf([...CT, [0x00189999, 'UT', Buffer.alloc(5_000_000, 65)]]),
      'value_too_large',
      /00189999/,
    ],
    [
      'more pixels than anybody has',
      fileOf([
        ...CT,
        [0x00280008, 'IS', '2000000000'],
        [0x00280010, 'US', Buffer.of(255, 255)],
        [0x00280011, 'US', Buffer.of(255, 255)],
        [0x00280100, 'US', Buffer.of(16, 0)],
      ]),
      'image_too_large',
      /00280008/,
    ],
  ])('%s', (_case, bytes, code, place) => {
    const result = deidentify(Buffer.from(bytes), order)
    expect(result).toMatchObject({ kind: 'rejected', error: { code } })
    if (place && result.kind === 'rejected') expect(result.error.path).toMatch(place)
  })

  test('elements, items and fragments are counted', () => {
    const limits = { ...LIMITS, elements: 1000 }
    const many: Content[] = Array.from({ length: 1200 }, (_, at) => [0x00180000 + at + 1, 'SH', 'A '])
    expect(deidentify(fileOf(many), { ...order, limits })).toMatchObject({
      error: { code: 'too_many_elements' },
    })
    const items = fileOf([...CT, [0x00400275, 'SQ', Array.from({ length: 1200 }, () => [])]])
    expect(deidentify(items, { ...order, limits })).toMatchObject({ error: { code: 'too_many_elements' } })
  })

  test('sequences that hide in one another as UN are tried once a level, not once a path', () => {
    let inner = Buffer.alloc(64, 7)
    for (let level = 0; level < 30; level++) {
      const header = Buffer.from('09001010', 'hex')
      const length = Buffer.alloc(4)
      length.writeUInt32LE(inner.length + 8)
      inner = Buffer.concat([header, length, item(inner.length), inner])
    }
    const begun = performance.now()
    expect(['clean', 'rejected']).toContain(
      deidentify(fileOf([...CT, [0x00091010, 'UN', inner]]), order).kind,
    )
    expect(performance.now() - begun).toBeLessThan(5_000)
  })

  test('a VR that a later edition may bring is read past and kept, searched', () => {
    const future = datasetOf([[0x00189998, 'UN', Buffer.from('ABCD')]], explicit)
    future.write('ZZ', 4, 'latin1')
    const bytes = wrap(Buffer.concat([datasetOf(CT, explicit), future]), SYNTAX.le)
    const result = deidentify(bytes, order)
    expect(result.kind === 'clean' && result.bytes.includes('ABCD')).toBe(true)
  })

  test('what pretends to be another file, or carries something behind its end, becomes DICOM only', () => {
    const armed = fileOf([...CT, [0xfffcfffc, 'OB', Buffer.from('PK\x03\x04 secret archive')]])
    armed.write('MZ\x90\0#!/bin/sh\n', 0, 'latin1')
    const result = deidentify(armed, order)
    if (result.kind !== 'clean') throw new Error(result.kind)
    expect(result.bytes.subarray(0, 128).every((byte) => byte === 0)).toBe(true)
    expect(result.bytes.includes('secret archive')).toBe(false)
    expect(result.bytes.includes('bin/sh')).toBe(false)
  })
})

/** Files to break: a synthetic one, and the public ones that are small. */
const corpus = shared('data/dicom')
const seeds = [
  fileOf([
    ...CT,
    ...deep(3),
    [0x00100010, 'PN', 'JANESDOTTIR^ANNA'],
    [0x7fe00010, 'OW', Buffer.alloc(64, 3)],
  ]),
  fileOf([...CT, ...deep(3)], SYNTAX.implicit),
  ...(corpus ? readdirSync(corpus).filter((name) => name.endsWith('.dcm')) : [])
    .map((name) => readFileSync(join(corpus!, name)))
    .filter(({ length }) => length < 60_000),
]

test('broken in every way, a file is cleaned, quarantined or refused, and what is cleaned can be read', () => {
  fc.assert(
    fc.property(fc.nat(seeds.length - 1), changes, (at, list) => {
      const result = deidentify(mutated(seeds[at]!, list), order)
      if (result.kind === 'clean') parseInstance(result.bytes)
    }),
    { numRuns: 20_000, interruptAfterTimeLimit: 10_000, markInterruptAsFailure: false },
  )
}, 30_000)

test('read in ranges or at once, a file says the same', () => {
  for (const source of seeds.slice(0, 40)) {
    const ranged = new RangedBytes(source.length, (start, end) => Buffer.from(source.subarray(start, end)))
    const read = (how: () => ReturnType<typeof parseInstance>) => {
      try {
        return how().elements
      } catch (error) {
        return String(error)
      }
    }
    expect(read(() => parseInstance(ranged) as never)).toEqual(read(() => parseInstance(source)))
  }
})
