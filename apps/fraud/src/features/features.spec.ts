import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Transaction } from '../transactions/transaction.js'
import { computeFeatures, distanceKm, FEATURES, riskScore, toRow } from './features.js'
import { History } from './history.js'

const payment = (changes: object = {}) =>
  Transaction.parse({
    transaction_id: 't',
    user_id: 'u',
    amount: 100,
    merchant_id: 'm',
    timestamp: '2026-05-03T10:00:00Z',
    location: { latitude: 48.8566, longitude: 2.3522 },
    payment_method: 'wallet',
    ...changes,
  })

test('a first payment has the features of nothing known', () => {
  const features = computeFeatures(payment(), new History().windowsOf(payment()))
  expect(features).toMatchObject({
    amount: 100,
    hour_of_day: 10,
    day_of_week: 6,
    payment_method_encoded: 2,
    user_avg_transaction: 0,
    user_transaction_count_30d: 0,
    amount_to_average: 1,
    hours_since_last: 720,
    km_since_last: 0,
    merchant_risk_score: 0.01,
    location_risk_score: 0.01,
  })
  expect(Object.keys(features)).toEqual([...FEATURES])
  expect([...toRow(features)].every(Number.isFinite)).toBe(true)
})

test('hour and day are those of UTC, Monday first', () => {
  const of = (timestamp: string) => {
    const { hour_of_day, day_of_week } = computeFeatures(
      payment({ timestamp }),
      new History().windowsOf(payment()),
    )
    return [hour_of_day, day_of_week]
  }
  expect(of('2026-05-04T00:00:00Z')).toEqual([0, 0])
  expect(of('2026-05-04T01:00:00+02:00')).toEqual([23, 6])
})

test('windows reach from T - W, which is out, to T, which is in', () => {
  const history = new History()
  for (const timestamp of [
    '2026-05-03T10:00:00Z',
    '2026-05-03T09:00:00.001Z',
    '2026-05-03T09:00:00Z',
    '2026-05-02T10:00:00Z',
    '2026-04-26T10:00:00Z',
    '2026-04-03T10:00:00Z',
    '2026-05-03T10:00:00.001Z',
  ])
    history.add(payment({ timestamp }))
  expect(history.windowsOf(payment()).account.totals.map(({ count }) => count)).toEqual([2, 3, 4, 5])
})

test('amounts are compared within one currency, counts over all', () => {
  const history = new History()
  history.add(payment({ amount: 50, timestamp: '2026-05-03T09:00:00Z' }))
  history.add(payment({ amount: 9000, currency: 'JPY', timestamp: '2026-05-03T09:30:00Z' }))
  const features = computeFeatures(payment(), history.windowsOf(payment()))
  expect(features).toMatchObject({
    user_avg_transaction: 50,
    amount_to_average: 2,
    user_transaction_count_30d: 2,
  })
  const yen = payment({ amount: 4500, currency: 'JPY' })
  expect(computeFeatures(yen, history.windowsOf(yen))).toMatchObject({
    amount: 4500,
    user_avg_transaction: 9000,
    amount_to_average: 0.5,
  })
})

test('speed since the last payment is finite even where no time has passed', () => {
  const history = new History()
  history.add(payment({ location: { latitude: 40.7128, longitude: -74.006 } }))
  const features = computeFeatures(payment(), history.windowsOf(payment()))
  expect(features.km_since_last).toBeCloseTo(5837, 0)
  expect(features.kmh_since_last).toBeCloseTo(5837 * 60, -3)
})

test('a label counts from the moment it was known, and the last one counts', () => {
  const history = new History()
  const label = history.add(payment({ timestamp: '2026-05-01T10:00:00Z' }))
  label(true, Date.parse('2026-05-02T10:00:00Z'))
  label(false, Date.parse('2026-05-04T10:00:00Z'))
  const at = (timestamp: string) => history.windowsOf(payment({ timestamp })).truth.merchant
  expect(at('2026-05-02T09:59:59Z')).toMatchObject({ labelled: 0, frauds: 0, streak: 0 })
  expect(at('2026-05-02T10:00:00Z')).toMatchObject({ labelled: 1, frauds: 1, streak: 1 })
  expect(at('2026-05-04T10:00:00Z')).toMatchObject({ labelled: 1, frauds: 0, streak: 0 })
})

describe('riskScore', () => {
  test('starts at the prior, rises with every fraud, falls with every genuine payment, stays a rate', () => {
    expect(riskScore({ labelled: 0, frauds: 0 })).toBe(0.01)
    fc.assert(
      fc.property(fc.nat(10_000), fc.nat(10_000), (genuine, frauds) => {
        const score = riskScore({ labelled: genuine + frauds, frauds })
        expect(score).toBeGreaterThan(0)
        expect(score).toBeLessThan(1)
        expect(riskScore({ labelled: genuine + frauds + 1, frauds: frauds + 1 })).toBeGreaterThan(score)
        expect(riskScore({ labelled: genuine + frauds + 1, frauds })).toBeLessThan(score)
      }),
    )
  })
})

describe('distanceKm', () => {
  const place = fc.record({
    latitude: fc.double({ min: -90, max: 90, noNaN: true }),
    longitude: fc.double({ min: -180, max: 180, noNaN: true }),
  })
  test('is a distance on the globe: symmetric, zero to itself, at most half way round', () => {
    fc.assert(
      fc.property(place, place, (a, b) => {
        const km = distanceKm(a, b)
        expect(km).toBeCloseTo(distanceKm(b, a), 6)
        expect(distanceKm(a, a)).toBe(0)
        expect(km).toBeLessThanOrEqual(20_015.2)
      }),
    )
  })
  test('Paris to London is 344 km, and the date line is no wall', () => {
    expect(
      distanceKm({ latitude: 48.8566, longitude: 2.3522 }, { latitude: 51.5074, longitude: -0.1278 }),
    ).toBeCloseTo(343.6, 0)
    expect(distanceKm({ latitude: 0, longitude: 179.9 }, { latitude: 0, longitude: -179.9 })).toBeCloseTo(
      22.2,
      1,
    )
  })
})
