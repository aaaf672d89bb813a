import { createHash } from 'node:crypto'
import canonicalize from 'canonicalize'
import { z } from 'zod'
import { CURRENCIES, toMinorUnits } from './currency.js'

/** How a payment was made; the position in this list is `payment_method_encoded`. */
export const PAYMENT_METHODS = [
  'card_present',
  'card_not_present',
  'wallet',
  'bank_transfer',
  'direct_debit',
  'other',
] as const

/** Text that can be stored and shown: no control characters, no half of a surrogate pair. */
const text = (max: number) =>
  z
    .string()
    .max(max)
    .regex(/^[^\p{Cc}\p{Zl}\p{Zp}\p{Cs}]*$/u, 'must not hold control characters')

const Identifier = text(128).min(1)

const Amount = z
  .union([z.number(), z.string().max(16)], 'must be a number or a decimal string')
  .transform(String)
  .refine(
    (text) => toMinorUnits(text, 'USD') !== undefined,
    'must be from 0 to 999999999999.99 with at most 2 decimals',
  )

const Metadata = z
  .record(text(64).min(1), z.union([text(256), z.number(), z.boolean()]))
  .refine((fields) => Object.keys(fields).length <= 20, 'must not have more than 20 fields')

/** A payment as a payment system posts it. */
export const Transaction = z
  .strictObject({
    transaction_id: Identifier,
    user_id: Identifier,
    amount: Amount,
    currency: z.enum(CURRENCIES, 'must be a currency code of ISO 4217').default('USD'),
    merchant_id: Identifier,
    timestamp: z.iso.datetime({ offset: true }),
    location: z.strictObject({
      latitude: z.number().min(-90).max(90),
      longitude: z.number().min(-180).max(180),
    }),
    payment_method: z.enum(PAYMENT_METHODS),
    metadata: Metadata.optional(),
  })
  .refine(({ amount, currency }) => toMinorUnits(amount, currency) !== undefined, {
    path: ['amount'],
    message: 'has more decimals than its currency',
  })
  .meta({ id: 'Transaction' })
export type Transaction = z.infer<typeof Transaction>

const EARLIEST = Date.parse('2000-01-01T00:00:00Z')
/** How far a sender's clock may run ahead of ours, in milliseconds. */
const CLOCK_AHEAD_MS = 5 * 60_000

/** What is wrong with the time of a payment, or undefined. `now` in milliseconds of the epoch. */
export function timeError({ timestamp }: Transaction, now: number): string | undefined {
  const at = Date.parse(timestamp)
  if (at < EARLIEST) return 'must not be before the year 2000'
  return at > now + CLOCK_AHEAD_MS ? 'must not be in the future' : undefined
}

/** SHA-256 of the payment's canonical form (RFC 8785): equal for equal payments, however they were written. */
export function fingerprint(transaction: Transaction): Buffer {
  const amount = toMinorUnits(transaction.amount, transaction.currency)!.toString()
  return createHash('sha256').update(canonicalize({ ...transaction, amount })!).digest()
}
