import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  accountRecord,
  accountWindows,
  appended,
  compacted,
  emptyAccount,
  isLong,
  MOST_PAYMENTS,
  spread,
} from './account.js'
import type { Facts } from './facts.js'
import { DAY_MS, RETAINED_MS, SPAN_MS } from './windows.js'

const START = Date.parse('2026-03-01T00:00:00Z')
const facts = (changes: Partial<Facts> = {}): Facts => ({
  at: START,
  minor: 1000,
  currency: 'USD',
  account: 'a',
  merchant: 'm',
  method: 'wallet',
  cell: null,
  latitude: 48.85,
  longitude: 2.35,
  ...changes,
})
const payment = fc
  .record({
    at: fc.integer({ min: START, max: START + 60 * DAY_MS }),
    minor: fc.oneof(fc.nat(100_000), fc.constantFrom(0, 999_999_999_999_990)),
    currency: fc.constantFrom('USD', 'EUR', 'ZWG', 'AED'),
    merchant: fc.constantFrom('m1', 'm2', 'm3'),
  })
  .map(facts)

test('moving payments to the past changes no window that a payment up to a week late can see', () => {
  fc.assert(
    fc.property(fc.array(payment, { minLength: 1, maxLength: 120 }), fc.nat(), (payments, late) => {
      let plain = emptyAccount()
      let moved = emptyAccount()
      for (const one of payments) {
        plain = appended(plain, accountRecord(one))
        moved = appended(moved, accountRecord(one))
        if (isLong(moved)) moved = compacted(moved)
      }
      const newest = Math.max(...payments.map(({ at }) => at))
      const next = facts({ at: newest - (late % (7 * DAY_MS)), merchant: 'm2' })
      expect(accountWindows(moved, next)).toEqual(accountWindows(plain, next))
    }),
  )
})

test('counts, sums and merchants are those of the payments in (T - W, T]', () => {
  fc.assert(
    fc.property(fc.array(payment, { maxLength: 40 }), payment, (payments, next) => {
      const state = payments.reduce((so, one) => appended(so, accountRecord(one)), emptyAccount())
      const { totals, distinctMerchants } = accountWindows(state, next)
      for (const [n, span] of SPAN_MS.entries()) {
        const inside = payments.filter(({ at }) => at > next.at - span && at <= next.at)
        const same = inside.filter(({ currency }) => currency === next.currency)
        expect(totals[n]).toEqual({
          count: inside.length,
          inCurrency: same.length,
          sum: same.reduce((sum, { minor }) => sum + minor, 0),
          max: Math.max(0, ...same.map(({ minor }) => minor)),
        })
        expect(distinctMerchants[n]).toBe(new Set(inside.map(({ merchant }) => merchant)).size)
      }
    }),
  )
})

test('what no window can reach is dropped, and of a flood the newest payments stay', () => {
  const old = appended(emptyAccount(), accountRecord(facts()))
  const later = appended(old, accountRecord(facts({ at: START + RETAINED_MS })))
  expect(compacted(later).past).toEqual(accountRecord(facts({ at: START + RETAINED_MS })))
  const flood = Array.from({ length: MOST_PAYMENTS + 500 }, (_, n) => accountRecord(facts({ at: START + n })))
  const { past, recent } = compacted({ past: Buffer.concat(flood), recent: Buffer.alloc(0) })
  expect(recent).toHaveLength(0)
  expect(past).toEqual(Buffer.concat(flood.slice(-MOST_PAYMENTS)))
})

test('a payment without a place has no place to be far from', () => {
  const state = appended(emptyAccount(), accountRecord(facts({ latitude: null, longitude: null })))
  expect(accountWindows(state, facts({ at: START + 1 })).last).toEqual({
    at: START,
    latitude: null,
    longitude: null,
  })
})

test('median and deviation are those of the definition', () => {
  expect(spread(new Float64Array())).toEqual({ median: 0, deviation: 0 })
  expect(spread(Float64Array.of(4, 1, 3, 2))).toEqual({ median: 2.5, deviation: Math.sqrt(1.25) })
  expect(spread(Float64Array.of(9, 1, 5)).median).toBe(5)
})
