import { type Random, seededRandom } from './random.js'
import { type Customer, createWorld, type Merchant, type PaymentMethod, type World } from './world.js'

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

/** What a payment really was; never part of what is posted. */
export type Scenario =
  | 'genuine'
  | 'large-amount'
  | 'compromised-merchant'
  | 'leaked-credentials'
  | 'card-testing'
  | 'impossible-travel'

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
}

const DAY_MS = 86_400_000
/** An amount above this is scenario 1 of the Fraud Detection Handbook. */
const LARGE_AMOUNT = 220
const COMPROMISED_DAYS = 28
const LEAKED_DAYS = 14

interface Draft {
  at: number
  customer: Customer
  merchant: Merchant
  amount: number
  method: PaymentMethod
  scenario: Scenario
}

/** Frauds that last for days: whose they are and when they end. */
interface Campaigns {
  compromised: Map<number, number>
  leaked: Map<number, number>
}

const cents = (amount: number) => Math.max(0.01, Math.round(amount * 100) / 100)

/** Most payments fall into the middle of the day. */
const momentOf = (random: Random, day: number): number => {
  const second = random.normal(43_200, 20_000)
  return day + 1000 * (second > 0 && second < 86_400 ? Math.floor(second) : random.below(86_400))
}

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

/** Starts today's campaigns and ends those that are over (handbook scenarios 2 and 3). */
function renewCampaigns(random: Random, world: World, campaigns: Campaigns, day: number): void {
  for (const list of [campaigns.compromised, campaigns.leaked]) {
    for (const [key, end] of list) if (end <= day) list.delete(key)
  }
  const each = (count: number, share: number) => Math.max(1, Math.round(count * share))
  for (let n = each(world.merchants.length, 0.0004); n > 0; n--) {
    campaigns.compromised.set(random.below(world.merchants.length), day + COMPROMISED_DAYS * DAY_MS)
  }
  for (let n = each(world.customers.length, 0.0006); n > 0; n--) {
    campaigns.leaked.set(random.below(world.customers.length), day + LEAKED_DAYS * DAY_MS)
  }
}

/** Marks and changes what the campaigns touch, as the handbook's scenarios say. */
function applyCampaigns(
  random: Random,
  drafts: Draft[],
  { compromised, leaked }: Campaigns,
  world: World,
): void {
  const badShops = new Set([...compromised.keys()].map((at) => world.merchants[at]))
  const victims = new Set([...leaked.keys()].map((at) => world.customers[at]))
  for (const draft of drafts) {
    if (draft.amount > LARGE_AMOUNT) draft.scenario = 'large-amount'
    if (badShops.has(draft.merchant)) draft.scenario = 'compromised-merchant'
    if (victims.has(draft.customer) && random.next() < 1 / 3) {
      draft.amount = cents(draft.amount * 5)
      draft.method = 'card_not_present'
      draft.scenario = 'leaked-credentials'
    }
  }
}

/** A stolen card number is tried out with small payments at many merchants within minutes. */
function cardTesting(random: Random, { customers, merchants }: World, day: number): Draft[] {
  const customer = random.pick(customers)
  let at = momentOf(random, day)
  return Array.from({ length: 6 + random.below(10) }, (): Draft => {
    at += 1000 * (5 + random.below(40))
    const amount = cents(random.uniform(0.5, 3))
    return {
      at,
      customer,
      merchant: random.pick(merchants),
      amount,
      method: 'card_not_present',
      scenario: 'card-testing',
    }
  })
}

/** A copied card pays far away minutes after its owner paid at home. */
function impossibleTravel(random: Random, drafts: Draft[], { merchants }: World): Draft[] {
  const last = drafts.filter((draft) => draft.scenario === 'genuine' && draft.method === 'card_present')
  if (last.length === 0) return []
  const { at, customer, merchant } = random.pick(last)
  const far = merchants.filter(({ place }) => Math.abs(place.longitude - merchant.place.longitude) > 20)
  if (far.length === 0) return []
  const amount = cents(random.uniform(0.8, 2.5) * customer.meanAmount)
  const later = at + 60_000 * (5 + random.below(40))
  return [
    {
      at: later,
      customer,
      merchant: random.pick(far),
      amount,
      method: 'card_present',
      scenario: 'impossible-travel',
    },
  ]
}

const repeat = <T>(random: Random, mean: number, make: () => T[]): T[] =>
  Array.from({ length: random.poisson(mean) }, make).flat()

function paymentsOf(random: Random, world: World, campaigns: Campaigns, day: number): Draft[] {
  const drafts = genuinePayments(random, world, day)
  renewCampaigns(random, world, campaigns, day)
  applyCampaigns(random, drafts, campaigns, world)
  const perDay = world.customers.length / 1500
  drafts.push(...repeat(random, perDay * 0.6, () => cardTesting(random, world, day)))
  drafts.push(...repeat(random, perDay * 2, () => impossibleTravel(random, drafts, world)))
  return drafts.sort((a, b) => a.at - b.at)
}

/**
 * Simulated payments in order of time, frauds among them: the three scenarios of the Fraud Detection Handbook
 * (chapter 3.2), card testing and impossible travel. Holds one day in memory.
 */
export function* simulatePayments({
  seed,
  customers,
  merchants,
  from,
  days,
}: SimulationOptions): Generator<Simulated> {
  const random = seededRandom(seed)
  const world = createWorld(random, customers, merchants, String(seed))
  const campaigns: Campaigns = { compromised: new Map(), leaked: new Map() }
  let number = 0
  for (let day = 0; day < days; day++) {
    for (const draft of paymentsOf(random, world, campaigns, from.getTime() + day * DAY_MS)) {
      yield { payment: toPayment(draft, `sim-${seed}-${number++}`), scenario: draft.scenario }
    }
  }
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
