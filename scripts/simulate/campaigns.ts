import { cents, DAY_MS, type Draft } from './draft.js'
import type { Random } from './random.js'
import type { World } from './world.js'

/** An amount above this is scenario 1 of the Fraud Detection Handbook. */
const LARGE_AMOUNT = 220
const COMPROMISED_DAYS = 28
const LEAKED_DAYS = 14

/** Frauds that last for days: whose they are and when they end. */
export interface Campaigns {
  compromised: Map<number, number>
  leaked: Map<number, number>
}

/** Starts of campaigns a day, against the usual: 0 is none, 1 as usual. */
export type CampaignRates = { 'compromised-merchant'?: number; 'leaked-credentials'?: number }

/** How many campaigns begin in a day: a share of the world, at least one however small it is. */
const startsOf = (count: number, share: number, rate = 1): number =>
  rate === 0 ? 0 : Math.max(1, Math.round(count * share * rate))

/** Starts today's campaigns and ends those that are over (handbook scenarios 2 and 3). */
export function renewCampaigns(
  random: Random,
  world: World,
  campaigns: Campaigns,
  rates: CampaignRates,
  day: number,
): void {
  for (const list of [campaigns.compromised, campaigns.leaked]) {
    for (const [key, end] of list) if (end <= day) list.delete(key)
  }
  for (let n = startsOf(world.merchants.length, 0.0004, rates['compromised-merchant']); n > 0; n--) {
    campaigns.compromised.set(random.below(world.merchants.length), day + COMPROMISED_DAYS * DAY_MS)
  }
  for (let n = startsOf(world.customers.length, 0.0006, rates['leaked-credentials']); n > 0; n--) {
    campaigns.leaked.set(random.below(world.customers.length), day + LEAKED_DAYS * DAY_MS)
  }
}

/** Marks and changes what the campaigns touch, as the handbook's scenarios say. */
export function applyCampaigns(
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
