import { expect, test } from 'vitest'
import { type Scenario, type Simulated, simulatePayments } from './payments.js'

const options = { seed: 7, customers: 600, merchants: 1200, from: new Date('2026-01-01T00:00:00Z'), days: 30 }
const all: Simulated[] = [...simulatePayments(options)]
const by = (scenario: Scenario) =>
  all.filter((simulated) => simulated.scenario === scenario).map(({ payment }) => payment)

test('the same seed gives the same payments, another seed others', () => {
  const first = (seed: number) => JSON.stringify([...simulatePayments({ ...options, seed, days: 2 })])
  expect(first(1)).toBe(first(1))
  expect(first(1)).not.toBe(first(2))
})

test('payments come in order of time, each with an id of its own', () => {
  for (let at = 1; at < all.length; at++)
    expect(all[at]!.payment.timestamp >= all[at - 1]!.payment.timestamp).toBe(true)
  expect(new Set(all.map(({ payment }) => payment.transaction_id)).size).toBe(all.length)
})

test('frauds are rare, and every scenario is there', () => {
  const share = 1 - by('genuine').length / all.length
  expect(share).toBeGreaterThan(0.003)
  expect(share).toBeLessThan(0.03)
  for (const scenario of [
    'compromised-merchant',
    'leaked-credentials',
    'card-testing',
    'impossible-travel',
  ] as const) {
    expect(by(scenario).length, scenario).toBeGreaterThan(3)
  }
})

test('every scenario has its signature', () => {
  for (const { amount } of by('large-amount')) expect(amount).toBeGreaterThan(220)
  expect(new Set(by('compromised-merchant').map((p) => p.merchant_id)).size).toBeLessThan(60)
  for (const { amount, payment_method } of by('card-testing')) {
    expect(amount).toBeLessThanOrEqual(3)
    expect(payment_method).toBe('card_not_present')
  }
  for (const stolen of by('impossible-travel')) {
    const when = Date.parse(stolen.timestamp)
    const hour = all.filter(
      ({ payment }) =>
        payment.user_id === stolen.user_id && Math.abs(when - Date.parse(payment.timestamp)) < 3_600_000,
    )
    const longitudes = hour.map(({ payment }) => payment.location.longitude)
    expect(Math.max(...longitudes) - Math.min(...longitudes)).toBeGreaterThan(20)
  }
})

test('what is posted says nothing of what it is', () => {
  for (const { payment } of all.slice(0, 100)) {
    expect(Object.keys(payment).sort()).toEqual(
      [
        'amount',
        'currency',
        'location',
        'merchant_id',
        'payment_method',
        'timestamp',
        'transaction_id',
        'user_id',
      ].sort(),
    )
  }
})
