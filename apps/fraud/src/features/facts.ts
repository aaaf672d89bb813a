import { hash } from 'node:crypto'
import { toMinorUnits } from '../transactions/currency.js'
import type { Transaction } from '../transactions/transaction.js'
import { cellOf } from './cell.js'

/** What of a payment its windows are made of. Imported history may lack the place. */
export interface Facts {
  /** Event time, milliseconds of the epoch. */
  at: number
  /** Minor units of the currency; below 2^53. */
  minor: number
  currency: string
  account: string
  merchant: string
  method: string
  cell: string | null
  latitude: number | null
  longitude: number | null
}

export function factsOf(transaction: Transaction): Facts {
  const { timestamp, amount, currency, user_id, merchant_id, payment_method, location } = transaction
  return {
    at: Date.parse(timestamp),
    minor: Number(toMinorUnits(amount, currency)),
    currency,
    account: user_id,
    merchant: merchant_id,
    method: payment_method,
    cell: cellOf(location),
    ...location,
  }
}

/** 48 bits of an id, enough to tell the merchants or payments of one key apart (collisions below 1 in 10^9). */
export const shortHash = (id: string): number => hash('sha256', id, 'buffer').readUIntBE(0, 6)

/** A currency code in 16 bits. */
export const currencyNumber = (code: string): number =>
  (code.charCodeAt(0) - 65) * 676 + (code.charCodeAt(1) - 65) * 26 + code.charCodeAt(2) - 65
