import fc from 'fast-check'
import { expect, test } from 'vitest'
import { TokenCache } from './token-cache.js'

test('nothing outlives its own end or the longest age, whatever is asked in between', () => {
  const step = fc.record({
    token: fc.constantFrom('a', 'b', 'c', 'd'),
    put: fc.boolean(),
    wait: fc.nat(40),
    life: fc.integer({ min: -10, max: 200 }),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 0, max: 3 }), (steps, size) => {
      const cache = new TokenCache<{ expiresAt: number }>(size, 60)
      const until = new Map<string, { at: number; value: object }>()
      let now = 1_000
      for (const { token, put, wait, life } of steps) {
        now += wait
        if (put) {
          const value = { expiresAt: now + life }
          cache.put(token, value, now)
          if (life > 0) until.set(token, { at: now + Math.min(life, 60), value })
        }
        const found = cache.get(token, now)
        const known = until.get(token)
        if (found) expect([found, now < known!.at]).toEqual([known!.value, true])
        if (size === 0) expect(found).toBeUndefined()
      }
    }),
  )
})

test('the least recently used goes first', () => {
  const cache = new TokenCache<{ expiresAt: number }>(2, 60)
  const value = { expiresAt: 1_000 }
  cache.put('a', value, 0)
  cache.put('b', value, 0)
  cache.get('a', 1)
  cache.put('c', value, 2)
  expect(['a', 'b', 'c'].map((token) => cache.get(token, 3) !== undefined)).toEqual([true, false, true])
})
