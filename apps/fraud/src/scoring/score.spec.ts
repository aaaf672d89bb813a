import { afterAll, beforeAll, expect, test } from 'vitest'
import { Model } from '#libs/inference'
import { computeFeatures, FEATURES, type Features } from '../features/features.js'
import { History } from '../features/history.js'
import { Transaction } from '../transactions/transaction.js'
import { reasonsOf } from './reasons.js'
import { incompatibleFeatures, LEAST_CONTRIBUTION, score } from './score.js'

let model: Model
beforeAll(async () => {
  model = await Model.load('models/fraud-gbdt/v1')
})
afterAll(() => model.close())

const payment = (day: number, amount: number) =>
  Transaction.parse({
    transaction_id: `t-${day}`,
    user_id: 'u',
    amount,
    merchant_id: 'm',
    timestamp: `2026-05-${String(day).padStart(2, '0')}T10:00:00Z`,
    location: { latitude: 48.8, longitude: 2.3 },
    payment_method: 'card_not_present',
  })
const history = new History()
for (let day = 1; day <= 20; day++) history.add(payment(day, 40 + day))
const large = payment(21, 950)
const features = computeFeatures(large, history.windowsOf(large))
const ordinary = payment(21, 50)
const small = computeFeatures(ordinary, history.windowsOf(ordinary))

test('the shipped model takes what the service computes', () => {
  expect(incompatibleFeatures(model.card.features!)).toEqual([])
  expect(incompatibleFeatures([...FEATURES].reverse())).toEqual([])
  expect(incompatibleFeatures([...FEATURES, 'shoe_size'])).toEqual(['shoe_size'])
  expect(incompatibleFeatures([])).not.toEqual([])
})

test('a score comes again bit for bit', async () => {
  const [first] = await score(model, [features])
  const [, again] = await score(model, [small, structuredClone(features)])
  expect(again).toEqual(first)
})

test('a contribution is what the score loses when the feature is as usual', async () => {
  const { probability, contributions } = (await score(model, [features]))[0]!
  expect(contributions.map(({ feature }) => feature)).toEqual(model.card.features)
  for (const { feature, contribution } of contributions) {
    const usual: Features = { ...features, [feature]: model.card.reference![feature]! }
    const [without] = await score(model, [usual])
    expect(probability - without!.probability).toBeCloseTo(contribution, 6)
  }
})

test('a score too low for any reason is explained only where somebody asks', async () => {
  const [plain] = await score(model, [small])
  expect(plain!.probability).toBeLessThan(LEAST_CONTRIBUTION)
  expect(plain!.contributions).toEqual([])
  const [asked] = await score(model, [small], () => true)
  expect(asked!.probability).toBe(plain!.probability)
  expect(Math.max(...asked!.contributions.map((c) => c.contribution))).toBeLessThan(LEAST_CONTRIBUTION)
})

test('a large amount is the reason that is given for it', async () => {
  const { probability, contributions } = (await score(model, [features]))[0]!
  expect(probability).toBeGreaterThan(0.2)
  const reasons = reasonsOf(features, [], contributions)
  const amount = reasons.find((reason) => reason.code.startsWith('AMOUNT'))
  expect(amount).toMatchObject({ contribution: expect.any(Number), message: expect.stringMatching(/\d/) })
  expect(reasons.length).toBeLessThanOrEqual(4)
})

test('rules come first, and no feature is named twice', async () => {
  const { contributions } = (await score(model, [features]))[0]!
  const hits = [{ code: 'TOO_MUCH', feature: 'amount', outcome: 'review', message: 'Too much' }] as const
  const reasons = reasonsOf(features, hits, contributions)
  expect(reasons[0]).toMatchObject({ code: 'TOO_MUCH', message: 'Too much' })
  expect(reasons[0]!.contribution).toBeGreaterThan(0)
  expect(new Set(reasons.map((reason) => reason.feature)).size).toBe(reasons.length)
})

test('without a score the rules still give their reasons', () => {
  const hits = [{ code: 'TOO_MUCH', feature: 'amount', outcome: 'review', message: 'Too much' }] as const
  expect(reasonsOf(features, hits, [])).toEqual([
    { code: 'TOO_MUCH', feature: 'amount', value: 950, contribution: 0, message: 'Too much' },
  ])
})
