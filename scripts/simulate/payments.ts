import { cardTesting, impossibleTravel } from './bursts.js'
import { applyCampaigns, type Campaigns, renewCampaigns } from './campaigns.js'
import { cents, DAY_MS, type Draft, momentOf, type Scenario } from './draft.js'
import { type Random, seededRandom } from './random.js'
import { createWorld, type PaymentMethod, type World } from './world.js'

/** Exactly the body of `POST /api/v1/transactions`. */
export interface Payment {
  transaction_id: string
  user_id: string
  amount: number
  currency: string
  merchant_id: string
  timestamp: string
  location: { latitude: number; longitude: number }
  payment_method: PaymentMethod
}

export interface Simulated {
  payment: Payment
  scenario: Scenario
}

export interface SimulationOptions {
  seed: number
  customers: number
  merchants: number
  /** First day, midnight UTC. */
  from: Date
  days: number
  /** How much more or less of each fraud than usual: 0 is none, 1 (the default) as usual. */
  fraudRates?: FraudRates
}

/** Payments above the amount of scenario 1 are frauds whatever is asked for. */
export type FraudRates = Partial<Record<Exclude<Scenario, 'genuine' | 'large-amount'>, number>>

function genuinePayments(random: Random, { customers, merchants }: World, day: number): Draft[] {
  return customers.flatMap((customer) =>
    Array.from({ length: random.poisson(customer.rate) }, (): Draft => {
      const abroad = random.next() < 0.005
      const merchant = merchants[abroad ? random.below(merchants.length) : random.pick(customer.merchants)]!
      const drawn = random.normal(customer.meanAmount, customer.amountSpread)
      const amount = cents(drawn > 0 ? drawn : random.uniform(0, 2 * customer.meanAmount))
      return {
        at: momentOf(random, day),
        customer,
        merchant,
        amount,
        method: random.pick(customer.methods),
        scenario: 'genuine',
      }
    }),
  )
}

const repeat = <T>(random: Random, mean: number, make: () => T[]): T[] =>
  Array.from({ length: random.poisson(mean) }, make).flat()

function paymentsOf(
  random: Random,
  world: World,
  campaigns: Campaigns,
  rates: FraudRates,
  day: number,
): Draft[] {
  const drafts = genuinePayments(random, world, day)
  renewCampaigns(random, world, campaigns, rates, day)
  applyCampaigns(random, drafts, campaigns, world)
  const perDay = world.customers.length / 1500
  const bursts = perDay * 0.6 * (rates['card-testing'] ?? 1)
  const copies = perDay * 2 * (rates['impossible-travel'] ?? 1)
  drafts.push(...repeat(random, bursts, () => cardTesting(random, world, day)))
  drafts.push(...repeat(random, copies, () => impossibleTravel(random, drafts, world)))
  return drafts
}

/** Day after day in order of time; what a fraud carries past midnight comes with the next day's payments. */
function* draftsOf(random: Random, world: World, options: SimulationOptions): Generator<Draft> {
  const campaigns: Campaigns = { compromised: new Map(), leaked: new Map() }
  let late: Draft[] = []
  for (let day = 0; day < options.days; day++) {
    const midnight = options.from.getTime() + day * DAY_MS
    const today = paymentsOf(random, world, campaigns, options.fraudRates ?? {}, midnight)
    const drafts = [...late, ...today].sort((a, b) => a.at - b.at)
    late = drafts.filter(({ at }) => at >= midnight + DAY_MS)
    yield* drafts.slice(0, drafts.length - late.length)
  }
  yield* late
}

/**
 * Simulated payments in order of time, frauds among them: the three scenarios of the Fraud Detection Handbook
 * (chapter 3.2), card testing and impossible travel. Holds one day in memory.
 */
export function* simulatePayments(options: SimulationOptions): Generator<Simulated> {
  const random = seededRandom(options.seed)
  const world = createWorld(random, options.customers, options.merchants, String(options.seed))
  let number = 0
  for (const draft of draftsOf(random, world, options))
    yield { payment: toPayment(draft, `sim-${options.seed}-${number++}`), scenario: draft.scenario }
}

const toPayment = ({ at, customer, merchant, amount, method }: Draft, id: string): Payment => ({
  transaction_id: id,
  user_id: customer.id,
  amount,
  currency: 'USD',
  merchant_id: merchant.id,
  timestamp: new Date(at).toISOString(),
  location: method === 'card_not_present' || method === 'bank_transfer' ? customer.home : merchant.place,
  payment_method: method,
})
