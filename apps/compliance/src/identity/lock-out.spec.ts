import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ACCOUNT_LOCK_OUT, type Attempts, attempt } from './lock-out.js'

const MINUTE = 60_000

/** Fails as often as it may in the given time, as fast as it may. */
function guesses(until: number): number {
  let state: Attempts | undefined
  let count = 0
  for (let now = 1; now < until; ) {
    const { allowed, after } = attempt(state, now, ACCOUNT_LOCK_OUT)
    if (allowed) count++
    state = after
    now = Math.max(now + 1, state.lockedUntil)
  }
  return count
}

test('five failures are free; then the wait doubles from half a minute to fifteen', () => {
  let state: Attempts | undefined
  const waits: number[] = []
  let now = 0
  for (let failure = 0; failure < 13; failure++) {
    const { allowed, after } = attempt(state, now, ACCOUNT_LOCK_OUT)
    expect(allowed).toBe(true)
    waits.push(Math.max(0, after.lockedUntil - now))
    state = after
    now = Math.max(now, after.lockedUntil)
  }
  expect(waits.map((wait) => wait / MINUTE)).toEqual([0, 0, 0, 0, 0.5, 1, 2, 4, 8, 15, 15, 15, 15])
})

test('a day of guessing is about a hundred guesses', () => {
  expect(guesses(24 * 60 * MINUTE)).toBeLessThan(110)
})

test('an hour of quiet is forgiven', () => {
  const state = { failures: 9, lastAt: 0, lockedUntil: 8 * MINUTE }
  expect(attempt(state, 60 * MINUTE, ACCOUNT_LOCK_OUT).after.failures).toBe(1)
})

test('while locked nothing is allowed, and asking does not make it longer', () => {
  fc.assert(
    fc.property(fc.integer({ min: 5, max: 40 }), fc.nat(15 * MINUTE), (failures, later) => {
      const state = { failures, lastAt: 0, lockedUntil: 15 * MINUTE + 1 }
      expect(attempt(state, later, ACCOUNT_LOCK_OUT)).toEqual({ allowed: false, after: state })
    }),
  )
})
