import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type JsonDefect, jsonDefect } from './json.js'

const limits = { depth: 32, members: 10_000 }
const defect = (text: string): JsonDefect | undefined => jsonDefect(text, limits)

const depthOf = (value: unknown): number =>
  typeof value === 'object' && value !== null
    ? 1 + Math.max(0, ...Object.values(value).map((member) => depthOf(member)))
    : 0
const membersOf = (value: unknown): number => {
  if (typeof value !== 'object' || value === null) return 0
  const own = Array.isArray(value) ? 0 : Object.keys(value).length
  return Object.values(value).reduce<number>((sum, member) => sum + membersOf(member), own)
}
/** What JSON.stringify writes has no member twice; names are kept apart from those that pollute. */
const json = fc.json({ maxDepth: 6 }).filter((text) => !/__proto__|prototype/.test(text))

describe('a text that every reader reads the same', () => {
  test('passes, however it is spaced', () => {
    fc.assert(
      fc.property(json, fc.constantFrom(0, 1, 2), (text, indent) => {
        const value = JSON.parse(text)
        fc.pre(!/\d{16}|e3\d\d/.test(text))
        expect(defect(JSON.stringify(value, null, indent))).toBeUndefined()
      }),
    )
  })

  test('is measured as a recursive count measures it', () => {
    fc.assert(
      fc.property(
        json,
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 0, max: 8 }),
        (text, depth, members) => {
          const value = JSON.parse(text)
          fc.pre(!/\d{16}|e3\d\d/.test(text))
          const wrong = jsonDefect(JSON.stringify(value), { depth, members })
          expect(wrong === undefined).toBe(depthOf(value) <= depth && membersOf(value) <= members)
        },
      ),
    )
  })

  test('any text at all is looked at without an exception', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => void defect(text)))
    const parts = ['{', '}', '[', ']', '"', '\\', ',', ':', '1', '-', 'e', '\\u0061', 'a']
    fc.assert(fc.property(fc.array(fc.constantFrom(...parts)), (pieces) => void defect(pieces.join(''))))
  })
})

describe('a member twice', () => {
  test('is found wherever it is put, also spelled with escapes', () => {
    const spelled = (name: string) =>
      [...name].map((letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')
    const names = fc.uniqueArray(fc.stringMatching(/^[a-z]{1,6}$/), { minLength: 1, maxLength: 8 })
    fc.assert(
      fc.property(names, fc.nat(), fc.boolean(), (unique, pick, escaped) => {
        const again = unique[pick % unique.length]!
        const members = [...unique, escaped ? spelled(again) : again].map((name) => `"${name}":{"x":[1]}`)
        expect(defect(`[{${members.join(',')}}]`)).toEqual({
          pointer: `/0/${again}`,
          detail: 'comes twice in one object',
        })
        expect(defect(`[{${members.slice(0, -1).join(',')}}]`)).toBeUndefined()
      }),
    )
  })

  test('the same name in two objects is none', () => {
    expect(defect('[{"a":1},{"a":{"a":1}}]')).toBeUndefined()
  })
})

describe('names that pollute prototypes', () => {
  test.each([
    ['{"__proto__":{"admin":true}}', '/__proto__'],
    ['{"a":[{"\\u005f_proto__":1}]}', '/a/0/__proto__'],
    ['{"constructor":{"prototype":{"admin":true}}}', '/constructor/prototype'],
  ])('%s', (text, pointer) => {
    expect(defect(text)).toEqual({ pointer, detail: 'is a member name that is not allowed' })
  })

  test('a member that is called constructor or prototype is not one', () => {
    expect(defect('{"constructor":"Bob","prototype":1}')).toBeUndefined()
  })
})

describe('numbers', () => {
  test.each(['9007199254740993', '-9007199254740993', '1e400', '-1e309', '12345678901234567890'])(
    '%s would not arrive as it was sent',
    (literal) => {
      expect(defect(`{"amount":${literal}}`)).toEqual({
        pointer: '/amount',
        detail: 'is a number that would lose digits: send it as a string',
      })
    },
  )

  test.each(['9007199254740991', '-9007199254740991', '0.1', '1e308', '-0', '123456789012345'])(
    '%s arrives',
    (literal) => expect(defect(`[${literal}]`)).toBeUndefined(),
  )
})
