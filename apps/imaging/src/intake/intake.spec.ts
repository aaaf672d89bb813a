import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { mayBeDicom } from './head.js'
import { preferredWait } from './prefer.js'
import { Submission } from './submission.js'
import { gate } from './verify.js'

const valid = { patient_id: 'P-1', physician_id: 'D-1', modality: 'CR' }

describe('Submission', () => {
  test('takes 1 to 64 characters, outer spaces aside', () => {
    expect(Submission.parse({ ...valid, patient_id: ` ${'ü'.repeat(64)} ` }).patient_id).toBe('ü'.repeat(64))
    for (const patient_id of [
      '',
      ' ',
      'x'.repeat(65),
      'a\\b',
      'a\tb',
      'a\0',
      '\u007f',
      '\uFFFD',
      1,
      null,
      undefined,
    ])
      expect(Submission.safeParse({ ...valid, patient_id }).success).toBe(false)
  })

  test('never lets a control character or backslash through', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 80 }), (patient_id) => {
        const result = Submission.safeParse({ ...valid, patient_id })
        if (!result.success) return
        const text = result.data.patient_id
        expect(text.length).toBeGreaterThan(0)
        expect(text.length).toBeLessThanOrEqual(64)
        expect([...text].some((char) => char === '\\' || char.codePointAt(0)! < 32)).toBe(false)
      }),
    )
  })

  test('refuses unknown fields', () => {
    expect(Submission.safeParse({ ...valid, name: 'x' }).success).toBe(false)
  })
})

describe('mayBeDicom', () => {
  const part10 = Buffer.concat([Buffer.alloc(128, 7), Buffer.from('DICM')])
  test('knows Part 10 files and old ones without preamble', () => {
    expect(mayBeDicom(part10)).toBe(true)
    expect(mayBeDicom(Buffer.from('0800050043530a00', 'hex'))).toBe(true)
    expect(mayBeDicom(Buffer.from('0008000500000000', 'hex'))).toBe(true)
  })
  test.each([
    ['nothing', Buffer.alloc(0)],
    ['seven bytes', Buffer.from('08000500435300', 'hex')],
    ['zeros', Buffer.alloc(200)],
    ['an executable', Buffer.from('4d5a90000300000004000000ffff0000', 'hex')],
    ['a prefix at the wrong place', Buffer.concat([Buffer.alloc(127, 7), Buffer.from('DICM    ')])],
  ])('refuses %s', (_name, bytes) => expect(mayBeDicom(bytes)).toBe(false))
})

test.each([
  ['wait=5', 5],
  ['respond-async, wait=5', 5],
  ['respond-async; wait = "5"', 5],
  ['WAIT=0', 0],
  ['wait=3600', 60],
  ['wait=-1', undefined],
  ['wait=1.5', undefined],
  ['wait', undefined],
  [undefined, undefined],
])('Prefer: %s waits %s', (header, seconds) => expect(preferredWait(header)).toBe(seconds))

test('a gate lets through no more than its width, and everybody in the end', async () => {
  const enter = gate(2)
  let [inside, most, done] = [0, 0, 0]
  const work = async (fails: boolean) => {
    inside += 1
    most = Math.max(most, inside)
    await new Promise((resolve) => setTimeout(resolve, 1))
    inside -= 1
    done += 1
    if (fails) throw new Error('no')
  }
  await Promise.allSettled(Array.from({ length: 20 }, (_, at) => enter(() => work(at % 3 === 0))))
  expect([most, done, inside]).toEqual([2, 20, 0])
})
