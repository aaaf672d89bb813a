import { currencyNumber, type Facts } from './facts.js'
import { firstHours, HOUR_MS, hourOf, noTotals, RETAINED_MS, type Totals } from './windows.js'

/**
 * Payments of one merchant, place or method by the hour and currency of their event, 25 bytes each: hour since the
 * epoch (3), currency (2), count (4), sum (8) and maximum (8) in minor units. An hour may stand there more than once:
 * what it holds adds up.
 */
export interface Tile {
  recent: Buffer
  past: Buffer
}

const SIZE = 25
const MOST_RECENT = 32
const RETAINED_HOURS = RETAINED_MS / HOUR_MS

export const emptyTile = (): Tile => ({ recent: Buffer.alloc(0), past: Buffer.alloc(0) })

/** Adds to `totals` what `bytes` hold of the windows that end at `at`. */
export function addTotals(totals: Totals[], bytes: Buffer, at: number, currency: string): void {
  const [hour, day, week, month] = firstHours(at) as [number, number, number, number]
  const now = hourOf(at)
  const code = currencyNumber(currency)
  for (let o = 0; o < bytes.length; o += SIZE) {
    const then = bytes.readUIntBE(o, 3)
    if (then < month || then > now) continue
    const count = bytes.readUInt32BE(o + 5)
    const same = bytes.readUInt16BE(o + 3) === code
    for (let span = then >= hour ? 0 : then >= day ? 1 : then >= week ? 2 : 3; span < 4; span++) {
      const total = totals[span]!
      total.count += count
      if (!same) continue
      total.inCurrency += count
      total.sum += bytes.readDoubleBE(o + 9)
      total.max = Math.max(total.max, bytes.readDoubleBE(o + 17))
    }
  }
}

/** Adds windows to windows. */
export function addAll(totals: Totals[], more: readonly Totals[]): void {
  for (const [span, total] of totals.entries()) {
    const { count, inCurrency, sum, max } = more[span]!
    total.count += count
    total.inCurrency += inCurrency
    total.sum += sum
    total.max = Math.max(total.max, max)
  }
}

/** The windows of a payment over all tiles of a key. */
export function tileTotals(parts: readonly Buffer[], { at, currency }: Facts): Totals[] {
  const totals = noTotals()
  for (const bytes of parts) addTotals(totals, bytes, at, currency)
  return totals
}

function find(bytes: Buffer, hour: number, code: number): number {
  for (let o = 0; o < bytes.length; o += SIZE)
    if (bytes.readUIntBE(o, 3) === hour && bytes.readUInt16BE(o + 3) === code) return o
  return -1
}

/** The bytes with `count` payments of an hour more; a copy. */
function added(bytes: Buffer, hour: number, code: number, count: number, sum: number, max: number): Buffer {
  const at = find(bytes, hour, code)
  const known = at >= 0
  const result = known ? Buffer.from(bytes) : Buffer.concat([bytes, Buffer.alloc(SIZE)])
  const o = known ? at : bytes.length
  result.writeUIntBE(hour, o, 3)
  result.writeUInt16BE(code, o + 3)
  result.writeUInt32BE(result.readUInt32BE(o + 5) + count, o + 5)
  result.writeDoubleBE(result.readDoubleBE(o + 9) + sum, o + 9)
  result.writeDoubleBE(Math.max(result.readDoubleBE(o + 17), max), o + 17)
  return result
}

/** The `recent` part with a payment more. */
export const tileWith = (recent: Buffer, { at, currency, minor }: Facts): Buffer =>
  added(recent, hourOf(at), currencyNumber(currency), 1, minor, minor)

export const isWide = (recent: Buffer): boolean => recent.length > SIZE * MOST_RECENT

/** Moves `recent` to `past`, hour to hour, and drops what no window can reach any more. */
export function folded({ recent, past }: Tile): Tile {
  const hours = new Map<number, [hour: number, code: number, count: number, sum: number, max: number]>()
  for (const bytes of [past, recent]) {
    for (let o = 0; o < bytes.length; o += SIZE) {
      const hour = bytes.readUIntBE(o, 3)
      const code = bytes.readUInt16BE(o + 3)
      const entry = hours.get(hour * 65_536 + code) ?? [hour, code, 0, 0, 0]
      entry[2] += bytes.readUInt32BE(o + 5)
      entry[3] += bytes.readDoubleBE(o + 9)
      entry[4] = Math.max(entry[4], bytes.readDoubleBE(o + 17))
      hours.set(hour * 65_536 + code, entry)
    }
  }
  const newest = Math.max(...[...hours.values()].map(([hour]) => hour))
  const kept = [...hours.values()].filter(([hour]) => hour > newest - RETAINED_HOURS)
  const result = Buffer.alloc(kept.length * SIZE)
  for (const [at, [hour, code, count, sum, max]] of kept.entries()) {
    const o = at * SIZE
    result.writeUIntBE(hour, o, 3)
    result.writeUInt16BE(code, o + 3)
    result.writeUInt32BE(count, o + 5)
    result.writeDoubleBE(sum, o + 9)
    result.writeDoubleBE(max, o + 17)
  }
  return { recent: Buffer.alloc(0), past: result }
}
