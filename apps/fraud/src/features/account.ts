import { currencyNumber, type Facts, shortHash } from './facts.js'
import { type AccountWindows, LONGEST_WINDOW_MS, noTotals, RETAINED_MS, SPAN_MS } from './windows.js'

/**
 * The payments of one account, 30 bytes each, in the order in which they were decided: event time (6), merchant (6),
 * minor units (8), currency (2), latitude and longitude in millionths of a degree (4 each). `recent` grows with every
 * payment; when it is long it is moved to `past`, which is written seldom.
 */
export interface AccountState {
  recent: Buffer
  past: Buffer
}

const SIZE = 30
const NOWHERE = -(2 ** 31)
const MICRO = 1_000_000
/** An account's windows reach back over so many of its newest payments at most. */
export const MOST_PAYMENTS = 8_192
const LEAST_RECENT = 32

export const emptyAccount = (): AccountState => ({ recent: Buffer.alloc(0), past: Buffer.alloc(0) })

/** A payment as it is kept. */
export function accountRecord(facts: Facts): Buffer {
  const record = Buffer.allocUnsafe(SIZE)
  record.writeUIntBE(facts.at, 0, 6)
  record.writeUIntBE(shortHash(facts.merchant), 6, 6)
  record.writeDoubleBE(facts.minor, 12)
  record.writeUInt16BE(currencyNumber(facts.currency), 20)
  record.writeInt32BE(facts.latitude === null ? NOWHERE : Math.round(facts.latitude * MICRO), 22)
  record.writeInt32BE(facts.longitude === null ? NOWHERE : Math.round(facts.longitude * MICRO), 26)
  return record
}

const degrees = (micro: number): number | null => (micro === NOWHERE ? null : micro / MICRO)

/** Median and population standard deviation of amounts; sorts its argument. */
export function spread(amounts: Float64Array): { median: number; deviation: number } {
  const n = amounts.length
  if (n === 0) return { median: 0, deviation: 0 }
  amounts.sort()
  const middle = n >> 1
  const median = n % 2 === 1 ? amounts[middle]! : (amounts[middle - 1]! + amounts[middle]!) / 2
  const mean = amounts.reduce((sum, amount) => sum + amount, 0) / n
  const squares = amounts.reduce((sum, amount) => sum + (amount - mean) ** 2, 0)
  return { median, deviation: Math.sqrt(squares / n) }
}

/** The windows of a payment that is not among the account's yet. */
export function accountWindows({ past, recent }: AccountState, facts: Facts): AccountWindows {
  const { at, minor: _, currency } = facts
  const [hour, day, week] = SPAN_MS.map((span) => at - span) as [number, number, number, number]
  const oldest = at - LONGEST_WINDOW_MS
  const code = currencyNumber(currency)
  const here = shortHash(facts.merchant)
  const totals = noTotals()
  const seen = new Map<number, number>()
  const amounts: number[] = []
  let atMerchant30d = 0
  let last: { at: number; latitude: number; longitude: number } | undefined
  for (const records of [past, recent]) {
    for (let o = 0; o < records.length; o += SIZE) {
      const then = records.readUIntBE(o, 6)
      if (then <= oldest || then > at) continue
      const merchant = records.readUIntBE(o + 6, 6)
      const same = records.readUInt16BE(o + 20) === code
      const minor = records.readDoubleBE(o + 12)
      // Windows are nested: the first that holds the payment, and all longer ones.
      for (let span = then > hour ? 0 : then > day ? 1 : then > week ? 2 : 3; span < 4; span++) {
        const total = totals[span]!
        total.count++
        if (!same) continue
        total.inCurrency++
        total.sum += minor
        if (minor > total.max) total.max = minor
      }
      if (same) amounts.push(minor)
      if (merchant === here) atMerchant30d++
      if (then >= (seen.get(merchant) ?? 0)) seen.set(merchant, then)
      if (!last || then >= last.at)
        last = { at: then, latitude: records.readInt32BE(o + 22), longitude: records.readInt32BE(o + 26) }
    }
  }
  const latest = [...seen.values()]
  const { median, deviation } = spread(Float64Array.from(amounts))
  return {
    totals,
    distinctMerchants: [hour, day, week, oldest].map((from) => latest.filter((then) => then > from).length),
    atMerchant30d,
    median30d: median,
    deviation30d: deviation,
    ...(last
      ? { last: { at: last.at, latitude: degrees(last.latitude), longitude: degrees(last.longitude) } }
      : {}),
  }
}

/** The account with a payment more. */
export const appended = (state: AccountState, record: Buffer): AccountState => ({
  ...state,
  recent: Buffer.concat([state.recent, record]),
})

const recordsOf = (bytes: Buffer): Buffer[] =>
  Array.from({ length: bytes.length / SIZE }, (_, at) => bytes.subarray(at * SIZE, (at + 1) * SIZE))
const timeOf = (record: Buffer): number => record.readUIntBE(0, 6)

/** Whether `recent` has become so long that it should be moved. */
export const isLong = ({ recent, past }: AccountState): boolean =>
  recent.length > SIZE * Math.max(LEAST_RECENT, past.length / SIZE / 64)

/** Moves `recent` to `past` and drops what no window can reach any more. */
export function compacted({ recent, past }: AccountState): AccountState {
  const all = [...recordsOf(past), ...recordsOf(recent)]
  const newest = all.reduce((latest, record) => Math.max(latest, timeOf(record)), 0)
  const kept = all.filter((record) => timeOf(record) > newest - RETAINED_MS)
  if (kept.length > MOST_PAYMENTS) {
    const times = Float64Array.from(kept, timeOf).sort()
    const from = times[times.length - MOST_PAYMENTS]!
    const newer = kept.filter((record) => timeOf(record) >= from)
    return { past: Buffer.concat(newer.slice(-MOST_PAYMENTS)), recent: Buffer.alloc(0) }
  }
  return { past: Buffer.concat(kept), recent: Buffer.alloc(0) }
}
