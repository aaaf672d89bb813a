import { z } from 'zod'

/** The body of the contract, in full, with a team's first validation. */
export const PaymentBody = z.strictObject({
  transaction_id: z.string().min(1).max(128),
  user_id: z.string().min(1).max(128),
  amount: z.coerce.number().min(0).max(999_999_999_999.99),
  currency: z
    .string()
    .regex(/^[A-Z]{3}$/)
    .default('USD'),
  merchant_id: z.string().min(1).max(128),
  timestamp: z.iso.datetime({ offset: true }),
  location: z.strictObject({
    latitude: z.number().min(-90).max(90),
    longitude: z.number().min(-180).max(180),
  }),
  payment_method: z.enum([
    'card_present',
    'card_not_present',
    'wallet',
    'bank_transfer',
    'direct_debit',
    'other',
  ]),
  metadata: z.record(z.string(), z.unknown()).optional(),
})
export type PaymentBody = z.infer<typeof PaymentBody>

export const METHOD_CODES = {
  card_present: 0,
  card_not_present: 1,
  wallet: 2,
  bank_transfer: 3,
  direct_debit: 4,
  other: 5,
} satisfies Record<PaymentBody['payment_method'], number>
