import { expect, test } from 'vitest'
import { distanceKm } from '../../apps/fraud/src/features/features.js'
import { Transaction } from '../../apps/fraud/src/transactions/transaction.js'
import { DAY_MS, type Scenario } from './draft.js'
import { type Payment, type Simulated, simulatePayments } from './payments.js'

const from = new Date('2026-01-01T00:00:00Z')
const options = { seed: 7, customers: 600, merchants: 1200, from, days: 40 }
const all: Simulated[] = [...simulatePayments(options)]
const by = (scenario: Scenario) =>
  all.filter((simulated) => simulated.scenario === scenario).map(({ payment }) => payment)
const at = ({ timestamp }: Payment) => Date.parse(timestamp)

function grouped(payments: Payment[], key: 'merchant_id' | 'user_id'): Payment[][] {
  const groups = new Map<string, Payment[]>()
  for (const payment of payments) groups.set(payment[key], [...(groups.get(payment[key]) ?? []), payment])
  return [...groups.values()]
}

const outOfOrder = (simulated: Simulated[]): number =>
  simulated.filter(({ payment }, n) => n > 0 && at(payment) < at(simulated[n - 1]!.payment)).length

test('the same seed gives the same payments, another seed others', () => {
  const first = (seed: number) => JSON.stringify([...simulatePayments({ ...options, seed, days: 2 })])
  expect(first(1)).toBe(first(1))
  expect(first(1)).not.toBe(first(2))
})

test('a longer simulation begins as the shorter one', () => {
  const short = [...simulatePayments({ ...options, days: 3 })]
  const border = from.getTime() + 3 * DAY_MS
  const within = (simulated: Simulated[]) => simulated.filter(({ payment }) => at(payment) < border)
  expect(within(short)).toEqual(within(all))
})

test('payments come in order of time, each with an id of its own', () => {
  expect(outOfOrder(all)).toBe(0)
  expect(new Set(all.map(({ payment }) => payment.transaction_id)).size).toBe(all.length)
})

test('frauds that run past midnight keep the order of time', () => {
  const many = { 'card-testing': 100, 'impossible-travel': 100 }
  const busy = [...simulatePayments({ ...options, customers: 300, days: 10, fraudRates: many })]
  const bursts = busy.filter(({ scenario }) => scenario === 'card-testing').map(({ payment }) => payment)
  const days = (burst: Payment[]) => new Set(burst.map(({ timestamp }) => timestamp.slice(0, 10))).size
  expect(grouped(bursts, 'user_id').filter((burst) => days(burst) > 1).length).toBeGreaterThan(0)
  expect(outOfOrder(busy)).toBe(0)
})

test('every payment is one that the fraud service takes', () => {
  for (const { payment } of all.slice(0, 5_000)) {
    expect(Transaction.safeParse(payment).success, JSON.stringify(payment)).toBe(true)
  }
})

test('what is posted says nothing of what it is', () => {
  const fields = 'amount currency location merchant_id payment_method timestamp transaction_id user_id'.split(
    ' ',
  )
  for (const { payment } of all) expect(Object.keys(payment).sort()).toEqual(fields)
})

test('frauds are rare, and each of the five scenarios is there', () => {
  const share = 1 - by('genuine').length / all.length
  expect(share).toBeGreaterThan(0.003)
  expect(share).toBeLessThan(0.03)
  for (const scenario of [
    'large-amount',
    'compromised-merchant',
    'leaked-credentials',
    'card-testing',
    'impossible-travel',
  ] as const)
    expect(by(scenario).length, scenario).toBeGreaterThan(3)
})

test('in a larger world the share of frauds is that of the handbook and the two added scenarios', () => {
  let [frauds, payments] = [0, 0]
  for (const { scenario } of simulatePayments({ ...options, customers: 2500, merchants: 5000 })) {
    payments++
    if (scenario !== 'genuine') frauds++
  }
  expect(frauds / payments).toBeGreaterThan(0.003)
  expect(frauds / payments).toBeLessThan(0.02)
})

test('rates of zero leave only the frauds of large amounts', () => {
  const fraudRates = {
    'compromised-merchant': 0,
    'leaked-credentials': 0,
    'card-testing': 0,
    'impossible-travel': 0,
  }
  const kinds = new Set([...simulatePayments({ ...options, fraudRates })].map(({ scenario }) => scenario))
  expect([...kinds].sort()).toEqual(['genuine', 'large-amount'])
})

test('large amounts are above 220, and no genuine payment is', () => {
  for (const { amount } of by('large-amount')) expect(amount).toBeGreaterThan(220)
  for (const { amount } of by('genuine')) expect(amount).toBeLessThanOrEqual(220)
})

test('at a compromised merchant no payment is genuine for 28 days, then they are again', () => {
  const bad = new Set(by('compromised-merchant').map(({ merchant_id }) => merchant_id))
  const [first] = grouped(by('compromised-merchant'), 'merchant_id').sort((a, b) => at(a[0]!) - at(b[0]!))
  const [start, id] = [at(first![0]!), first![0]!.merchant_id]
  const here = by('genuine').filter(({ merchant_id }) => merchant_id === id)
  expect(here.filter((payment) => at(payment) > start && at(payment) < start + 27 * DAY_MS)).toEqual([])
  expect(here.some((payment) => at(payment) > start + 28 * DAY_MS)).toBe(true)
  expect(bad.size).toBeLessThanOrEqual(options.days)
})

test('leaked credentials: a third of the payments of two weeks, five times as high', () => {
  const stolen = grouped(by('leaked-credentials'), 'user_id')
    .filter((payments) => at(payments[0]!) < from.getTime() + 20 * DAY_MS)
    .sort((a, b) => b.length - a.length)[0]!
  const span = at(stolen.at(-1)!) - at(stolen[0]!)
  expect(span).toBeLessThan(15 * DAY_MS)
  const own = by('genuine').filter(({ user_id }) => user_id === stolen[0]!.user_id)
  const mean = (payments: Payment[]) =>
    payments.reduce((sum, { amount }) => sum + amount, 0) / payments.length
  expect(mean(stolen) / mean(own)).toBeGreaterThan(3)
  const during = own.filter((payment) => at(payment) >= at(stolen[0]!) && at(payment) <= at(stolen.at(-1)!))
  expect(stolen.length / (stolen.length + during.length)).toBeGreaterThan(0.15)
  expect(stolen.length / (stolen.length + during.length)).toBeLessThan(0.6)
})

test('card testing: at least six small payments within minutes at almost as many merchants', () => {
  for (const burst of grouped(by('card-testing'), 'user_id').filter(({ length }) => length < 16)) {
    expect(burst.length).toBeGreaterThanOrEqual(6)
    expect(at(burst.at(-1)!) - at(burst[0]!)).toBeLessThan(15 * 60_000)
    expect(new Set(burst.map(({ merchant_id }) => merchant_id)).size).toBeGreaterThanOrEqual(burst.length - 2)
    for (const { amount, payment_method } of burst) {
      expect(amount).toBeLessThanOrEqual(3)
      expect(payment_method).toBe('card_not_present')
    }
  }
})

test('impossible travel: another payment of the account, within the hour, faster away than any aeroplane', () => {
  for (const stolen of by('impossible-travel')) {
    const near = by('genuine').filter(
      (own) => own.user_id === stolen.user_id && at(own) <= at(stolen) && at(stolen) - at(own) < 3_600_000,
    )
    const speeds = near.map(
      (own) => distanceKm(own.location, stolen.location) / ((at(stolen) - at(own)) / 3_600_000),
    )
    expect(Math.max(...speeds)).toBeGreaterThan(1_000)
  }
})

test('volume, hours and amounts are as the handbook draws them', () => {
  const genuine = by('genuine')
  expect(genuine.length / options.customers / options.days).toBeGreaterThan(1.9)
  expect(genuine.length / options.customers / options.days).toBeLessThan(2.3)
  const hour = ({ timestamp }: Payment) => Number(timestamp.slice(11, 13))
  const [noon, night] = [11, 2].map((which) => genuine.filter((payment) => hour(payment) === which).length)
  expect(noon! / night!).toBeGreaterThan(2)
  const mean = genuine.reduce((sum, { amount }) => sum + amount, 0) / genuine.length
  expect(mean).toBeGreaterThan(40)
  expect(mean).toBeLessThan(65)
})
