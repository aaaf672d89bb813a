import { toMinorUnits } from '../transactions/currency.js'
import type { Transaction } from '../transactions/transaction.js'
import { cellOf } from './cell.js'
import { DAY_MS, HOUR_MS, type LabelCounts, LONGEST_WINDOW_MS, type Windows } from './windows.js'

interface Remembered {
  at: number
  minor: number
  currency: string
  merchant: string
  latitude: number
  longitude: number
  /** When and what the truth became known; the last entry that was known at T counts. */
  labels: { at: number; fraud: boolean }[]
}

/**
 * The windows straight from their definition over payments in memory: what training uses, and the oracle that the
 * SQL is tested against. Forgets nothing by itself: call `forget` in long runs.
 */
export class History {
  private readonly accounts = new Map<string, Remembered[]>()
  private readonly merchants = new Map<string, Remembered[]>()
  private readonly cells = new Map<string, Remembered[]>()

  /** Adds a payment that was decided, and returns how to label it. */
  add(transaction: Transaction): (fraud: boolean, at: number) => void {
    const remembered: Remembered = {
      at: Date.parse(transaction.timestamp),
      minor: Number(toMinorUnits(transaction.amount, transaction.currency)),
      currency: transaction.currency,
      merchant: transaction.merchant_id,
      ...transaction.location,
      labels: [],
    }
    const lists = [
      [this.accounts, transaction.user_id],
      [this.merchants, transaction.merchant_id],
      [this.cells, cellOf(transaction.location)],
    ] as const
    for (const [map, key] of lists) {
      const list = map.get(key)
      if (list) list.push(remembered)
      else map.set(key, [remembered])
    }
    return (fraud, at) => void remembered.labels.push({ at, fraud })
  }

  /** The windows of a payment that is not added yet. */
  windowsOf(transaction: Transaction): Windows {
    const at = Date.parse(transaction.timestamp)
    const within = (list: Remembered[] | undefined, window: number) =>
      (list ?? []).filter((other) => other.at > at - window && other.at <= at)
    const account = within(this.accounts.get(transaction.user_id), LONGEST_WINDOW_MS)
    const since = (window: number) => account.filter((other) => other.at > at - window)
    const same = account.filter((other) => other.currency === transaction.currency)
    const merchantsSince = (window: number) => new Set(since(window).map((other) => other.merchant)).size
    const last = account.reduce<Remembered | undefined>(
      (latest, other) => (!latest || other.at >= latest.at ? other : latest),
      undefined,
    )
    return {
      account: {
        count1h: since(HOUR_MS).length,
        count1d: since(DAY_MS).length,
        count7d: since(7 * DAY_MS).length,
        count30d: account.length,
        sameCurrency30d: same.length,
        sum30d: same.reduce((sum, other) => sum + other.minor, 0),
        max30d: same.reduce((max, other) => Math.max(max, other.minor), 0),
        sum1d: same.filter((other) => other.at > at - DAY_MS).reduce((sum, other) => sum + other.minor, 0),
        distinctMerchants1h: merchantsSince(HOUR_MS),
        distinctMerchants1d: merchantsSince(DAY_MS),
        atMerchant30d: account.filter((other) => other.merchant === transaction.merchant_id).length,
        ...(last ? { last: { at: last.at, latitude: last.latitude, longitude: last.longitude } } : {}),
      },
      merchant: labelCounts(within(this.merchants.get(transaction.merchant_id), LONGEST_WINDOW_MS), at),
      cell: labelCounts(within(this.cells.get(cellOf(transaction.location)), LONGEST_WINDOW_MS), at),
    }
  }

  /** Drops what no window after `now` can reach. */
  forget(now: number): void {
    for (const map of [this.accounts, this.merchants, this.cells]) {
      for (const [key, list] of map) {
        const kept = list.filter((other) => other.at > now - LONGEST_WINDOW_MS)
        if (kept.length === 0) map.delete(key)
        else map.set(key, kept)
      }
    }
  }
}

function labelCounts(list: Remembered[], at: number): LabelCounts {
  const known = list.map((other) =>
    other.labels
      .filter((label) => label.at <= at)
      .reduce<{ at: number; fraud: boolean } | undefined>(
        (latest, label) => (!latest || label.at >= latest.at ? label : latest),
        undefined,
      ),
  )
  return { labelled: known.filter(Boolean).length, frauds: known.filter((label) => label?.fraud).length }
}
