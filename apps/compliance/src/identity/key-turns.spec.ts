import fc from 'fast-check'
import { expect, test } from 'vitest'
import { turnsAt } from './key-turns.js'

const LINGER = 630_000
const key = (kid: string, at: number) => ({ kid, signsFrom: new Date(at) })

test('a new key is published before it signs, the old one after it has', () => {
  const keys = [key('old', 0), key('new', 1_000_000)]
  expect(turnsAt(keys, 999_999, LINGER)).toEqual({ signing: 'old', published: ['old', 'new'], finished: [] })
  expect(turnsAt(keys, 1_000_000, LINGER).signing).toBe('new')
  expect(turnsAt(keys, 1_000_000 + LINGER - 1, LINGER).published).toEqual(['old', 'new'])
  expect(turnsAt(keys, 1_000_000 + LINGER, LINGER)).toEqual({
    signing: 'new',
    published: ['new'],
    finished: ['old'],
  })
})

test('whatever the turns, a token is verifiable from its first to its last moment', () => {
  const turns = fc.uniqueArray(fc.integer({ min: 0, max: 10_000_000 }), { minLength: 1, maxLength: 8 })
  fc.assert(
    fc.property(turns, fc.nat(10_000_000), fc.nat(LINGER - 1), (starts, later, age) => {
      const keys = starts.map((at, index) => key(`k${index}`, at))
      const signedAt = Math.min(...starts) + later
      const { signing } = turnsAt(keys, signedAt, LINGER)
      expect(signing).toBeDefined()
      expect(turnsAt(keys, signedAt, LINGER).published).toContain(signing)
      expect(turnsAt(keys, signedAt + age, LINGER).published).toContain(signing)
    }),
  )
})
