import { cents, type Draft, momentOf } from './draft.js'
import type { Random } from './random.js'
import type { World } from './world.js'

/** A stolen card number is tried out with small payments at many merchants within minutes. */
export function cardTesting(random: Random, { customers, merchants }: World, day: number): Draft[] {
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
export function impossibleTravel(random: Random, drafts: Draft[], { merchants }: World): Draft[] {
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
