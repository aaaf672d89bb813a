import type { Random } from './random.js'

export const PAYMENT_METHODS = ['card_present', 'card_not_present', 'wallet', 'bank_transfer'] as const
export type PaymentMethod = (typeof PAYMENT_METHODS)[number]

export interface Place {
  latitude: number
  longitude: number
}

export interface Customer {
  id: string
  home: Place
  /** Usual amount and its spread, in major units. */
  meanAmount: number
  amountSpread: number
  /** Payments a day. */
  rate: number
  methods: readonly PaymentMethod[]
  /** Indices of the merchants within reach, nearest cities first. */
  merchants: number[]
}

export interface Merchant {
  id: string
  place: Place
}

export interface World {
  customers: Customer[]
  merchants: Merchant[]
}

/** City centres that customers and merchants gather around. */
const CITIES: readonly Place[] = [
  { latitude: 40.71, longitude: -74.01 },
  { latitude: 51.51, longitude: -0.13 },
  { latitude: 48.86, longitude: 2.35 },
  { latitude: 35.68, longitude: 139.69 },
  { latitude: -33.87, longitude: 151.21 },
  { latitude: 19.43, longitude: -99.13 },
]

const round = (value: number, digits: number) => Math.round(value * 10 ** digits) / 10 ** digits

const near = (random: Random, centre: Place, spread: number): Place => ({
  latitude: round(centre.latitude + random.normal(0, spread), 5),
  longitude: round(centre.longitude + random.normal(0, spread), 5),
})

const number = (at: number) => String(at).padStart(6, '0')

/** Customers and merchants with places, their ids marked with the world's name; each customer buys from merchants of the own city, now and then elsewhere. */
export function createWorld(random: Random, customers: number, merchants: number, name: string): World {
  const cityOf = new Map<number, number[]>()
  const shops = Array.from({ length: merchants }, (_, at): Merchant => {
    const city = at < CITIES.length ? at : random.below(CITIES.length)
    cityOf.set(city, [...(cityOf.get(city) ?? []), at])
    return { id: `merchant-${name}-${number(at)}`, place: near(random, CITIES[city]!, 0.08) }
  })
  const people = Array.from({ length: customers }, (_, at): Customer => {
    const city = random.below(Math.min(CITIES.length, merchants))
    const local = cityOf.get(city)!
    const meanAmount = random.uniform(5, 100)
    return {
      id: `customer-${name}-${number(at)}`,
      home: near(random, CITIES[city]!, 0.05),
      meanAmount,
      amountSpread: meanAmount / 2,
      rate: random.uniform(0.2, 4),
      methods: PAYMENT_METHODS.filter((_method, rank) => rank === 0 || random.next() < 0.5),
      merchants: Array.from({ length: Math.min(30, local.length) }, () => random.pick(local)),
    }
  })
  return { customers: people, merchants: shops }
}
