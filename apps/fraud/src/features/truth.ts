import {
  HOUR_MS,
  hourOf,
  LATEST_LABELLED,
  LONGEST_WINDOW_MS,
  nothingKnown,
  RETAINED_MS,
  type Truth,
} from './windows.js'

/** A label of a payment: what was said of it, and when that became known (milliseconds of the epoch). */
export interface Label {
  at: number
  fraud: boolean
}

/** A payment by its short hash and its event time. */
export interface Labelled {
  tx: number
  event: number
}

type LabelRecord = Labelled & Label

/**
 * What is known of the truth about a key's payments (account, merchant, place or method), bitemporal: what was known
 * at T can be told for every T from `horizon` on. Labels known by the horizon are summed by the hour of the payment;
 * those learnt later, and those of the newest payments, are kept one by one, every label of a payment or none.
 */
export interface TruthState {
  horizon: number
  /** Every labelled payment of a later event time is among the records. */
  completeFrom: number
  hours: Map<number, { labelled: number; frauds: number }>
  records: LabelRecord[]
}

const MOST_RECORDS = 2_048
/** Labels that stay one by one when the others are summed, and payments that stay for streaks. */
const OPEN_RECORDS = 1_024
const LATEST_KEPT = 4 * LATEST_LABELLED
const NEVER = -1

export const emptyTruth = (): TruthState => ({
  horizon: NEVER,
  completeFrom: NEVER,
  hours: new Map(),
  records: [],
})

/** The label that was known at a time: of those known by then the last, the later recorded of equals. */
export function labelAt(timeline: readonly Label[], at: number): Label | undefined {
  let known: Label | undefined
  for (const label of timeline) if (label.at <= at && (!known || label.at >= known.at)) known = label
  return known
}

interface Known {
  payment: Labelled
  before?: Label
  now?: Label
}

/** For each payment among the records what was known of it at the horizon, and at `at`. */
function knownOf(records: readonly LabelRecord[], horizon: number, at: number): Known[] {
  const all = new Map<number, Known>()
  for (const record of records) {
    const entry: Known = all.get(record.tx) ?? { payment: record }
    all.set(record.tx, entry)
    const later = (known?: Label) => !known || record.at >= known.at
    if (record.at <= horizon && later(entry.before)) entry.before = record
    if (record.at <= at && later(entry.now)) entry.now = record
  }
  return [...all.values()]
}

function addHour(hours: TruthState['hours'], event: number, before?: Label, now?: Label): void {
  const labelled = Number(now !== undefined) - Number(before !== undefined)
  const frauds = Number(now?.fraud ?? false) - Number(before?.fraud ?? false)
  if (labelled === 0 && frauds === 0) return
  const hour = hours.get(hourOf(event)) ?? { labelled: 0, frauds: 0 }
  hours.set(hourOf(event), { labelled: hour.labelled + labelled, frauds: hour.frauds + frauds })
}

function streakOf(known: Known[]): Pick<Truth, 'streak' | 'streakSince' | 'latest' | 'latestFrauds'> {
  const newest = known
    .sort((a, b) => b.payment.event - a.payment.event || b.payment.tx - a.payment.tx)
    .slice(0, LATEST_LABELLED)
  const genuine = newest.findIndex(({ now }) => !now!.fraud)
  const streak = genuine < 0 ? newest.length : genuine
  return {
    streak,
    latest: newest.length,
    latestFrauds: newest.filter(({ now }) => now!.fraud).length,
    ...(streak > 0 ? { streakSince: newest[streak - 1]!.payment.event } : {}),
  }
}

/**
 * The truth as a payment at event time T may know it. For a T before the horizon nothing is told: labels that came
 * later can no longer be taken away, and a payment must never see its future.
 */
export function truthAt({ horizon, completeFrom, hours, records }: TruthState, at: number): Truth {
  if (at < horizon) return nothingKnown()
  const [from, to] = [hourOf(at - LONGEST_WINDOW_MS), hourOf(at)]
  const inside = (hour: number) => hour >= from && hour <= to
  let [labelled, frauds] = [0, 0]
  for (const [hour, sums] of hours) {
    if (!inside(hour)) continue
    labelled += sums.labelled
    frauds += sums.frauds
  }
  const known = knownOf(records, horizon, at).filter(({ payment }) => inside(hourOf(payment.event)))
  for (const { before, now } of known) {
    labelled += Number(now !== undefined) - Number(before !== undefined)
    frauds += Number(now?.fraud ?? false) - Number(before?.fraud ?? false)
  }
  const streaks = known.filter(({ payment, now }) => now && payment.event > completeFrom)
  return { labelled, frauds, ...streakOf(streaks) }
}

/**
 * Tells the truth of one state many times: once everything in it was learnt, it is the same for a whole hour.
 */
export function truthOf(state: TruthState): (at: number) => Truth {
  const learnt = state.records.reduce((latest, { at }) => Math.max(latest, at), state.horizon)
  let known: { hour: number; truth: Truth } | undefined
  return (at) => {
    if (at < learnt) return truthAt(state, at)
    if (known?.hour !== hourOf(at)) known = { hour: hourOf(at), truth: truthAt(state, at) }
    return known.truth
  }
}

/** Sums the labels known by a later horizon, and keeps the rest and the newest payments one by one. */
function settled(state: TruthState): TruthState {
  const times = state.records.map(({ at }) => at).sort((a, b) => a - b)
  const horizon = Math.max(state.horizon, times[times.length - OPEN_RECORDS - 1]!)
  const hours = new Map(state.hours)
  const known = knownOf(state.records, state.horizon, horizon)
  for (const { payment, before, now } of known) addHour(hours, payment.event, before, now)
  const open = new Set(state.records.filter(({ at }) => at > horizon).map(({ tx }) => tx))
  const learnt = known.filter(({ now }) => now).map(({ payment }) => payment.event)
  const newest = learnt.sort((a, b) => b - a)[LATEST_KEPT - 1] ?? NEVER
  const kept = (record: Labelled) => open.has(record.tx) || record.event >= newest
  const dropped = known.filter(({ payment }) => !kept(payment)).map(({ payment }) => payment.event)
  return {
    horizon,
    completeFrom: Math.max(state.completeFrom, ...dropped),
    hours: unforgotten(hours),
    records: state.records.filter(kept),
  }
}

function unforgotten(hours: TruthState['hours']): TruthState['hours'] {
  const newest = Math.max(...hours.keys())
  return new Map([...hours].filter(([hour]) => hour > newest - RETAINED_MS / HOUR_MS))
}

/** A payment whose labels (in recorded order) changed. */
export interface Relabelling {
  payment: Labelled
  before: readonly Label[]
  after: readonly Label[]
}

/** The state after the labels of some payments changed, each named once. */
export function relabelled(state: TruthState, changes: readonly Relabelling[]): TruthState {
  const hours = new Map(state.hours)
  for (const { payment, before, after } of changes)
    addHour(hours, payment.event, labelAt(before, state.horizon), labelAt(after, state.horizon))
  const changed = new Set(changes.map(({ payment }) => payment.tx))
  const added = changes.flatMap(({ payment, after }) => after.map((label) => ({ ...payment, ...label })))
  const all = [...state.records.filter(({ tx }) => !changed.has(tx)), ...added]
  const newest = all.reduce((latest, { event }) => Math.max(latest, event), 0)
  const records = all.filter(({ event }) => event > newest - RETAINED_MS)
  const next = { ...state, hours, records }
  return records.length > MOST_RECORDS ? settled(next) : next
}

const HEADER = 16
const HOUR_SIZE = 11
const RECORD_SIZE = 19

/** A state as bytes: horizon (6), complete from (6), hours (4), then hours of 11 bytes and records of 19. */
export function encodeTruth({ horizon, completeFrom, hours, records }: TruthState): Buffer {
  const bytes = Buffer.alloc(HEADER + hours.size * HOUR_SIZE + records.length * RECORD_SIZE)
  bytes.writeIntBE(horizon, 0, 6)
  bytes.writeIntBE(completeFrom, 6, 6)
  bytes.writeUInt32BE(hours.size, 12)
  let o = HEADER
  for (const [hour, { labelled, frauds }] of hours) {
    bytes.writeUIntBE(hour, o, 3)
    bytes.writeInt32BE(labelled, o + 3)
    bytes.writeInt32BE(frauds, o + 7)
    o += HOUR_SIZE
  }
  for (const { event, tx, at, fraud } of records) {
    bytes.writeUIntBE(event, o, 6)
    bytes.writeUIntBE(tx, o + 6, 6)
    bytes.writeUIntBE(at, o + 12, 6)
    bytes.writeUInt8(Number(fraud), o + 18)
    o += RECORD_SIZE
  }
  return bytes
}

export function decodeTruth(bytes: Buffer): TruthState {
  const size = bytes.readUInt32BE(12)
  const hours: TruthState['hours'] = new Map()
  for (let o = HEADER; o < HEADER + size * HOUR_SIZE; o += HOUR_SIZE)
    hours.set(bytes.readUIntBE(o, 3), {
      labelled: bytes.readInt32BE(o + 3),
      frauds: bytes.readInt32BE(o + 7),
    })
  const records: LabelRecord[] = []
  for (let o = HEADER + size * HOUR_SIZE; o < bytes.length; o += RECORD_SIZE)
    records.push({
      event: bytes.readUIntBE(o, 6),
      tx: bytes.readUIntBE(o + 6, 6),
      at: bytes.readUIntBE(o + 12, 6),
      fraud: bytes.readUInt8(o + 18) === 1,
    })
  return { horizon: bytes.readIntBE(0, 6), completeFrom: bytes.readIntBE(6, 6), hours, records }
}
