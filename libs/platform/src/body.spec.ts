import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MAX_JSON_DEPTH, nulDefect, parseForm, parseJson } from './body.js'
import { ProblemError } from './problem.js'

const bytes = (text: string) => new TextEncoder().encode(text)
const problemOf = (work: () => unknown): ProblemError => {
  try {
    work()
  } catch (error) {
    if (error instanceof ProblemError) return error
    throw error
  }
  throw new Error('expected a problem')
}

describe('parseJson', () => {
  test('reads what JSON.parse reads', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 5 }), (text) => {
        fc.pre(!/__proto__|prototype|\d{16}|e3\d\d/.test(text))
        expect(parseJson(bytes(text))).toEqual(JSON.parse(text))
      }),
    )
  })

  test('refuses nesting past the limit without recursing into it', () => {
    const nested = (depth: number) => bytes('['.repeat(depth) + ']'.repeat(depth))
    expect(() => parseJson(nested(MAX_JSON_DEPTH))).not.toThrow()
    expect(problemOf(() => parseJson(nested(MAX_JSON_DEPTH + 1))).status).toBe(400)
    expect(problemOf(() => parseJson(nested(200_000))).status).toBe(400)
  })

  test('brackets inside strings do not count as nesting', () => {
    expect(parseJson(bytes(JSON.stringify({ a: `"\\${'['.repeat(100)}` })))).toEqual({
      a: `"\\${'['.repeat(100)}`,
    })
  })

  test('refuses invalid UTF-8 instead of replacing it', () => {
    expect(problemOf(() => parseJson(new Uint8Array([0x22, 0xff, 0x22]))).message).toMatch(/UTF-8/)
  })

  test.each(['{"__proto__":{"admin":true}}', '{"constructor":{"prototype":{"admin":true}}}'])(
    'refuses prototype pollution in %s',
    (text) => {
      expect(problemOf(() => parseJson(bytes(text))).status).toBe(400)
      expect(({} as { admin?: boolean }).admin).toBeUndefined()
    },
  )

  test('an error never quotes the body', () => {
    const problem = problemOf(() => parseJson(bytes('{"patient_name": "DOE^JANE", ')))
    expect(JSON.stringify(problem.toDetails('urn:x'))).not.toContain('DOE')
  })
})

test.each([
  ['/x?a=1&actor=a%00b', '/actor'],
  ['/x?actor%00=a', '/actor'],
  ['/x?actor=a%2500b', undefined],
  ['/x%00?actor=a', undefined],
])('finds the NUL in the query of %s', (url, pointer) => {
  expect(nulDefect(url)?.toDetails('urn:x').errors?.[0]?.pointer).toBe(pointer)
})

describe('parseForm', () => {
  test('reads fields and refuses repeated ones', () => {
    expect(parseForm(bytes('a=1&b=%C3%A9'))).toEqual({ a: '1', b: 'é' })
    expect(problemOf(() => parseForm(bytes('a=1&a=2'))).status).toBe(400)
  })

  test('refuses a NUL, naming the field', () => {
    const problem = problemOf(() => parseForm(bytes('a=1&client_id=x%00y')))
    expect(problem.toDetails('urn:x')).toMatchObject({ status: 400, errors: [{ pointer: '/client_id' }] })
  })

  test('limits the number of fields', () => {
    const many = Array.from({ length: 40 }, (_, at) => `f${at}=1`).join('&')
    expect(problemOf(() => parseForm(bytes(many))).status).toBe(400)
  })
})
