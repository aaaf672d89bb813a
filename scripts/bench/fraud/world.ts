import { cellOf } from '../../../apps/fraud/src/features/cell.js'

/** Who pays where: the same in the history, in the load and in both services. */
export const MERCHANTS = 5_000
export const HOT_MERCHANT = 'm-hot'
/** What a hot merchant takes a day. */
export const HOT_PER_DAY = 50_000
const PLACES = 1_000
const PAYMENTS_PER_ACCOUNT = 40

/** Accounts of a history: each has paid 40 times in the 30 days. */
export const accountsOf = (history: number): number => Math.ceil(history / PAYMENTS_PER_ACCOUNT)

/** Payments of the history at the hot merchant: 50,000 a day, for at most 30 days and half of all. */
export const hotPaymentsOf = (history: number): number => Math.min(HOT_PER_DAY * 30, Math.floor(history / 2))

/** Position of a place, in degrees; payments.lua has the same. */
const positionOf = (place: number) => ({
  latitude: 25 + (place % 40) * 0.6,
  longitude: -120 + Math.floor(place / 40) * 2,
})

/** Every place with its position and cell, as columns. */
export function places(): { latitude: number[]; longitude: number[]; cell: string[] } {
  const positions = Array.from({ length: PLACES }, (_, place) => positionOf(place))
  return {
    latitude: positions.map((position) => position.latitude),
    longitude: positions.map((position) => position.longitude),
    cell: positions.map(cellOf),
  }
}

/** A payment of the load, for clients that are not wrk. */
export function payment(id: string, at: number, accounts: number) {
  const merchant = Math.floor(Math.random() * MERCHANTS)
  return {
    transaction_id: id,
    user_id: `u-${Math.floor(Math.random() * accounts)}`,
    amount: (Math.floor(Math.random() * 20_000) + 100) / 100,
    currency: 'USD',
    merchant_id: `m-${merchant}`,
    timestamp: new Date(at).toISOString(),
    location: positionOf(merchant % PLACES),
    payment_method: 'card_present',
  }
}
