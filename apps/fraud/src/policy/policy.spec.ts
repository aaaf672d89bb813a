import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { computeFeatures, type Features } from '../features/features.js'
import { History } from '../features/history.js'
import { Transaction } from '../transactions/transaction.js'
import { decide, type Outcome, POLICY, type RuleHit, ruleHits } from './policy.js'

const payment = Transaction.parse({
  transaction_id: 't',
  user_id: 'u',
  amount: 3,
  merchant_id: 'm',
  timestamp: '2026-05-03T10:00:00Z',
  location: { latitude: 48.8, longitude: 2.3 },
  payment_method: 'wallet',
})
const plain = computeFeatures(payment, new History().windowsOf(payment))
const codes = (changes: Partial<Features>) => ruleHits({ ...plain, ...changes }).map(({ code }) => code)
const hit = (outcome: Outcome): RuleHit => ({ code: 'X', feature: 'amount', outcome, message: '' })
const RANK = { approve: 0, review: 1, decline: 2 }

test('no rule speaks of a plain payment', () => {
  expect(codes({})).toEqual([])
})

test.each([
  [
    'CARD_TESTING',
    { user_distinct_merchants_1h: 4, amount: 5 },
    { user_distinct_merchants_1h: 3, amount: 5 },
  ],
  [
    'CARD_TESTING',
    { user_distinct_merchants_1h: 4, amount: 5 },
    { user_distinct_merchants_1h: 4, amount: 5.01 },
  ],
  [
    'IMPOSSIBLE_TRAVEL',
    { kmh_since_last: 1001, km_since_last: 301 },
    { kmh_since_last: 1000, km_since_last: 301 },
  ],
  [
    'IMPOSSIBLE_TRAVEL',
    { kmh_since_last: 1001, km_since_last: 301 },
    { kmh_since_last: 9999, km_since_last: 300 },
  ],
  ['RISKY_MERCHANT', { merchant_risk_score: 0.31 }, { merchant_risk_score: 0.3 }],
])('%s begins where it says', (code, just, notYet) => {
  expect(codes(just)).toEqual([code])
  expect(codes(notYet)).toEqual([])
})

describe('decide', () => {
  test.each([
    [0, 'approve'],
    [POLICY.reviewFrom - 1e-9, 'approve'],
    [POLICY.reviewFrom, 'review'],
    [POLICY.declineFrom - 1e-9, 'review'],
    [POLICY.declineFrom, 'decline'],
    [1, 'decline'],
    [undefined, 'approve'],
  ])('a score of %s alone is %s', (score, outcome) => {
    expect(decide(POLICY, score, [])).toBe(outcome)
  })

  test('a rule or a higher score never makes the outcome milder', () => {
    const hits = fc.array(fc.constantFrom<Outcome>('approve', 'review', 'decline').map(hit), { maxLength: 4 })
    const score = fc.double({ min: 0, max: 1, noNaN: true })
    fc.assert(
      fc.property(score, score, hits, (a, b, some) => {
        const [low, high] = a < b ? [a, b] : [b, a]
        expect(RANK[decide(POLICY, high, some)]).toBeGreaterThanOrEqual(RANK[decide(POLICY, low, [])])
        for (const { outcome } of some)
          expect(RANK[decide(POLICY, undefined, some)]).toBeGreaterThanOrEqual(RANK[outcome])
      }),
    )
  })
})
