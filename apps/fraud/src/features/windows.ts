/**
 * What the history says of a payment at event time T, before it is decided. A window of W counts the payments with
 * an event time in (T - W, T] that were decided before this one, itself excluded; sums, averages and maxima are over
 * those in the same currency, in minor units. Labels count when they were known at T.
 */
export interface Windows {
  account: AccountWindows
  merchant: LabelCounts
  cell: LabelCounts
}

export interface AccountWindows {
  count1h: number
  count1d: number
  count7d: number
  count30d: number
  /** Payments of the last 30 days in the payment's currency, with their sum and maximum in minor units. */
  sameCurrency30d: number
  sum30d: number
  max30d: number
  sum1d: number
  distinctMerchants1h: number
  distinctMerchants1d: number
  /** Earlier payments at this very merchant in 30 days. */
  atMerchant30d: number
  /** The payment before this one within 30 days. */
  last?: LastPayment
}

export interface LastPayment {
  /** Milliseconds of the epoch. */
  at: number
  latitude: number | null
  longitude: number | null
}

/** Payments of the last 30 days whose truth was known at T, and how many of them were frauds. */
export interface LabelCounts {
  labelled: number
  frauds: number
}

export const HOUR_MS = 3_600_000
export const DAY_MS = 24 * HOUR_MS
export const LONGEST_WINDOW_MS = 30 * DAY_MS
