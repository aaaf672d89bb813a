import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Facts } from './facts.js'
import { emptyTile, folded, isWide, tileTotals, tileWith } from './tile.js'
import { DAY_MS, HOUR_MS, SPAN_MS } from './windows.js'

const START = Date.parse('2026-03-01T00:30:00Z')
const payment = fc
  .record({
    at: fc.integer({ min: START, max: START + 50 * DAY_MS }),
    minor: fc.nat(1_000_000),
    currency: fc.constantFrom('USD', 'EUR'),
    lane: fc.nat(2),
  })
  .map(({ lane, ...rest }) => ({
    lane,
    facts: {
      ...rest,
      account: 'a',
      merchant: 'm',
      method: 'w',
      cell: null,
      latitude: 0,
      longitude: 0,
    } as Facts,
  }))
const hour = (at: number) => Math.floor(at / HOUR_MS)

test('a window holds the whole hours from that of T - W to that of T, over all lanes, folded or not', () => {
  fc.assert(
    fc.property(fc.array(payment, { minLength: 1, maxLength: 150 }), fc.nat(), (payments, late) => {
      const lanes = [emptyTile(), emptyTile(), emptyTile()]
      for (const { lane, facts } of payments) {
        const { past, recent } = lanes[lane]!
        const next = { past, recent: tileWith(recent, facts) }
        lanes[lane] = isWide(next.recent) ? folded(next) : next
      }
      // A lane remembers by its own newest hour: a payment up to a week late sees its windows whole.
      const newest = Math.max(...payments.map(({ facts }) => facts.at))
      const next = { ...payments[0]!.facts, at: newest - (late % (7 * DAY_MS)) }
      const totals = tileTotals(
        lanes.flatMap(({ past, recent }) => [past, recent]),
        next,
      )
      for (const [n, span] of SPAN_MS.entries()) {
        const inside = payments
          .map(({ facts }) => facts)
          .filter(({ at }) => hour(at) >= hour(next.at - span) && hour(at) <= hour(next.at))
        const same = inside.filter(({ currency }) => currency === next.currency)
        expect(totals[n]).toEqual({
          count: inside.length,
          inCurrency: same.length,
          sum: same.reduce((sum, { minor }) => sum + minor, 0),
          max: Math.max(0, ...same.map(({ minor }) => minor)),
        })
      }
    }),
  )
})

test('a tile stays small however many payments there are: at most an entry an hour and currency', () => {
  let tile = emptyTile()
  for (let n = 0; n < 5_000; n++) {
    const facts = { at: START + n * 20 * 60_000, minor: 5, currency: 'USD' } as Facts
    tile = { ...tile, recent: tileWith(tile.recent, facts) }
    if (isWide(tile.recent)) tile = folded(tile)
  }
  expect(tile.past.length / 25).toBeLessThanOrEqual(37 * 24)
  expect(tile.recent.length / 25).toBeLessThanOrEqual(33)
})
