import type { Random } from './random.js'
import type { Customer, Merchant, PaymentMethod } from './world.js'

export const DAY_MS = 86_400_000

/** What a payment really was; never part of what is posted. */
export type Scenario =
  | 'genuine'
  | 'large-amount'
  | 'compromised-merchant'
  | 'leaked-credentials'
  | 'card-testing'
  | 'impossible-travel'

/** A payment before it has an id; `at` in milliseconds of the epoch. */
export interface Draft {
  at: number
  customer: Customer
  merchant: Merchant
  amount: number
  method: PaymentMethod
  scenario: Scenario
}

/** An amount of at least a cent, with two decimals. */
export const cents = (amount: number) => Math.max(0.01, Math.round(amount * 100) / 100)

/** A moment of a day: most payments fall into its middle. */
export const momentOf = (random: Random, day: number): number => {
  const second = random.normal(43_200, 20_000)
  return day + 1000 * (second > 0 && second < 86_400 ? Math.floor(second) : random.below(86_400))
}
