import { hash } from 'node:crypto'
import canonicalize from 'canonicalize'
import { z } from 'zod'
import { holdsCardNumber, noCardNumber } from '#libs/platform'
import { CURRENCIES, toMinorUnits } from './currency.js'

/**
 * How a payment was made, and its `payment_method_encoded`. A card whose presence the sender does not tell counts as
 * not present, the riskier of the two.
 */
export const PAYMENT_METHODS = {
  card_present: 0,
  card_not_present: 1,
  wallet: 2,
  bank_transfer: 3,
  direct_debit: 4,
  other: 5,
  card: 1,
  credit_card: 1,
  debit_card: 1,
  prepaid_card: 1,
  contactless: 0,
  digital_wallet: 2,
  mobile_wallet: 2,
  apple_pay: 2,
  google_pay: 2,
  paypal: 2,
  ach: 3,
  wire_transfer: 3,
  sepa_credit_transfer: 3,
  instant_payment: 3,
  sepa_direct_debit: 4,
  cash: 5,
  cheque: 5,
  crypto: 5,
  gift_card: 5,
  buy_now_pay_later: 5,
} as const
const METHOD_NAMES = Object.keys(PAYMENT_METHODS) as (keyof typeof PAYMENT_METHODS)[]

/** Text that can be stored and shown: no control characters, no half of a surrogate pair. */
export const text = (max: number) =>
  z
    .string()
    .max(max)
    .regex(/^[^\p{Cc}\p{Zl}\p{Zp}\p{Cs}]*$/u, 'must not hold control characters')

const [, CARD] = noCardNumber

/** An id that a payment system gave: of a payment, an account or a merchant. Never a card number (PCI DSS 3.5). */
export const Identifier = text(128)
  .min(1)
  .refine(...noCardNumber)

const Amount = z
  .union([z.number(), z.string().max(16)], 'must be a number or a decimal string')
  .transform(String)
  .refine(
    (text) => toMinorUnits(text, 'USD') !== undefined,
    'must be from 0 to 999999999999.99 with at most 2 decimals',
  )

const Metadata = z
  .record(text(64).min(1), z.union([text(256), z.number(), z.boolean()]))
  .superRefine((fields, context) => {
    for (const [name, value] of Object.entries(fields))
      if (holdsCardNumber(name)) context.addIssue({ code: 'custom', message: `A name in it ${CARD}` })
      else if (holdsCardNumber(String(value)))
        context.addIssue({ code: 'custom', path: [name], message: CARD })
  })
  .refine((fields) => Object.keys(fields).length <= 20, 'must not have more than 20 fields')

/** RFC 3339 5.6, with seconds, of the years and offsets that exist on Earth (and that PostgreSQL takes). */
export const Instant = z.iso
  .datetime({ offset: true })
  .regex(/^(?:19|2\d).*T\d\d:\d\d:\d\d/, 'must be from 1900 on, with seconds')
  .regex(/(?:Z|[+-](?:0\d|1[0-4]):\d\d)$/, 'must have an offset of at most 14 hours')

/** A position in degrees (WGS 84). */
export const Location = z.strictObject({
  latitude: z.number().min(-90).max(90),
  longitude: z.number().min(-180).max(180),
})

/** What is told of every payment, live or of the past. */
const common = {
  transaction_id: Identifier,
  user_id: Identifier,
  amount: Amount,
  currency: z.enum(CURRENCIES, 'must be a currency code of ISO 4217').default('USD'),
  merchant_id: Identifier,
  timestamp: Instant,
  payment_method: z.enum(METHOD_NAMES),
}

const fitsCurrency = ({ amount, currency }: { amount: string; currency: string }) =>
  toMinorUnits(amount, currency) !== undefined
const currencyError = { path: ['amount'], message: 'has more decimals than its currency' }

/** A payment as a payment system posts it. */
export const Transaction = z
  .strictObject({ ...common, location: Location, metadata: Metadata.optional() })
  .refine(fitsCurrency, currencyError)
  .meta({ id: 'Transaction' })
export type Transaction = z.infer<typeof Transaction>

/** A payment of imported history, which may come without its place. */
export const PastTransaction = z.strictObject(common).refine(fitsCurrency, currencyError)

const EARLIEST = Date.parse('2000-01-01T00:00:00Z')
/** How far a sender's clock may run ahead of ours, in milliseconds. */
const CLOCK_AHEAD_MS = 5 * 60_000

/** What is wrong with the time of a payment, or undefined. `now` in milliseconds of the epoch. */
export function timeError({ timestamp }: { timestamp: string }, now: number): string | undefined {
  const at = Date.parse(timestamp)
  if (at < EARLIEST) return 'must not be before the year 2000'
  return at > now + CLOCK_AHEAD_MS ? 'must not be in the future' : undefined
}

/** SHA-256 of the payment's canonical form (RFC 8785): equal for equal payments, however they were written. */
export function fingerprint(transaction: Transaction): Buffer {
  const amount = toMinorUnits(transaction.amount, transaction.currency)!.toString()
  return hash('sha256', canonicalize({ ...transaction, amount })!, 'buffer')
}
