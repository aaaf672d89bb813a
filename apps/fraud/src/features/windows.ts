export const HOUR_MS = 3_600_000
export const DAY_MS = 24 * HOUR_MS

/** The windows that every feature is counted over. */
export const SPANS = ['1h', '1d', '7d', '30d'] as const
export type Span = (typeof SPANS)[number]
export const SPAN_MS = [HOUR_MS, DAY_MS, 7 * DAY_MS, 30 * DAY_MS] as const
export const LONGEST_WINDOW_MS = 30 * DAY_MS

/**
 * How long window state remembers, counted back from the newest payment of a key: the longest window and a week, so
 * that a payment up to a week late still sees its windows whole.
 */
export const RETAINED_MS = LONGEST_WINDOW_MS + 7 * DAY_MS

/** Payments of one window. Counts are over all currencies; sum and maximum over the payment's own, in minor units. */
export interface Totals {
  count: number
  inCurrency: number
  sum: number
  max: number
}

/** What is known of the truth about a key's payments of the last 30 days. */
export interface Truth {
  labelled: number
  frauds: number
  /** Length of the run of frauds at the end of the newest labelled payments (at most 16 are looked at). */
  streak: number
  /** Event time of the first payment of that run. */
  streakSince?: number
  /** How many of the newest 16 labelled payments there are, and how many of them were frauds. */
  latest: number
  latestFrauds: number
}

/** How many of the newest labelled payments streaks look at. */
export const LATEST_LABELLED = 16

export interface LastPayment {
  /** Milliseconds of the epoch. */
  at: number
  latitude: number | null
  longitude: number | null
}

export interface AccountWindows {
  /** One for each of SPANS. */
  totals: Totals[]
  distinctMerchants: number[]
  /** Earlier payments at this very merchant in 30 days. */
  atMerchant30d: number
  /** Median and standard deviation of the amounts of 30 days in the payment's currency, in minor units. */
  median30d: number
  deviation30d: number
  /** The payment before this one within 30 days. */
  last?: LastPayment
}

/**
 * What the history says of a payment at event time T, itself excluded.
 *
 * A window W of an **account** holds its payments with an event time in (T - W, T] that were decided before, exact to
 * the millisecond. One of a **merchant, place or method** goes by whole hours of event time, from the hour of T - W to
 * the hour of T. **Labels** count by the same hours and when they were known at T (`labelled_at <= T`).
 */
export interface Windows {
  account: AccountWindows
  merchant: Totals[]
  place: Totals[]
  method: Totals[]
  truth: { account: Truth; merchant: Truth; place: Truth; method: Truth }
}

export const hourOf = (at: number): number => Math.floor(at / HOUR_MS)

/** The first whole hour of each window that ends at `at`. */
export const firstHours = (at: number): number[] => SPAN_MS.map((span) => hourOf(at - span))

export const noTotals = (): Totals[] => SPANS.map(() => ({ count: 0, inCurrency: 0, sum: 0, max: 0 }))
export const nothingKnown = (): Truth => ({ labelled: 0, frauds: 0, streak: 0, latest: 0, latestFrauds: 0 })
