import { cellOf } from '../features/cell.js'
import { toMinorUnits } from '../transactions/currency.js'
import { Instant, Location, PastTransaction, timeError } from '../transactions/transaction.js'
import type { Columns, Field } from './columns.js'

/** A payment of the past as it is stored: without a decision, perhaps without a place, perhaps with its truth. */
export interface PastPayment {
  transactionId: string
  userId: string
  merchantId: string
  amountMinor: string
  currency: string
  at: string
  latitude: number | null
  longitude: number | null
  cell: string | null
  method: string
  label: 'fraud' | 'legitimate' | null
  labelledAt: string | null
}

/** How a file is read where it does not say. */
export interface ImportSettings {
  columns: Columns
  currency: string
  method: string
  /** A label without its own time became known this long after the payment. */
  labelDelayMs: number
  /** Milliseconds of the epoch. */
  now: number
}

const LABELS: Record<string, 'fraud' | 'legitimate'> = {
  '1': 'fraud',
  true: 'fraud',
  fraud: 'fraud',
  '0': 'legitimate',
  false: 'legitimate',
  legitimate: 'legitimate',
  genuine: 'legitimate',
}

const WITHOUT_ZONE = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d(?:\.\d+)?)$/
/** Times without a zone are UTC. */
const toInstant = (text: string) => text.replace(WITHOUT_ZONE, '$1T$2Z')

type Wrong = { wrong: string }
const wrong = (text: string): Wrong => ({ wrong: text })

function placeOf(latitude: string, longitude: string) {
  if (latitude === '' && longitude === '') return { latitude: null, longitude: null, cell: null }
  if (latitude === '' || longitude === '') return wrong('latitude and longitude go together')
  const place = Location.safeParse({ latitude: Number(latitude), longitude: Number(longitude) })
  if (!place.success) return wrong(`${String(place.error.issues[0]!.path[0])} is out of range`)
  return { ...place.data, cell: cellOf(place.data) }
}

function truthOf(label: string, labelledAt: string, at: number, { labelDelayMs, now }: ImportSettings) {
  if (label === '') return { label: null, labelledAt: null }
  const known = LABELS[label.toLowerCase()]
  if (!known) return wrong('label is none of 0, 1, fraud, legitimate')
  const given = toInstant(labelledAt)
  if (given !== '' && !Instant.safeParse(given).success) return wrong('labelled_at is no time')
  const learnt = given === '' ? at + labelDelayMs : Date.parse(given)
  // What the file says is known by now, whatever the delay, and was not before there was a payment.
  return { label: known, labelledAt: new Date(Math.min(Math.max(learnt, at), now)).toISOString() }
}

/** Reads one line; what is wrong is said without quoting it. */
export function toPastPayment(cells: readonly string[], settings: ImportSettings): PastPayment | Wrong {
  const cell = (field: Field) => cells[settings.columns[field] ?? -1]?.trim() ?? ''
  const parsed = PastTransaction.safeParse({
    transaction_id: cell('transaction_id'),
    user_id: cell('user_id'),
    merchant_id: cell('merchant_id'),
    amount: cell('amount'),
    currency: cell('currency') || settings.currency,
    timestamp: toInstant(cell('timestamp')),
    payment_method: cell('payment_method') || settings.method,
  })
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    return wrong(`${String(issue!.path[0])}: ${issue!.message}`)
  }
  const { data } = parsed
  const late = timeError(data, settings.now)
  if (late) return wrong(`timestamp: ${late}`)
  const place = placeOf(cell('latitude'), cell('longitude'))
  if ('wrong' in place) return place
  const truth = truthOf(cell('label'), cell('labelled_at'), Date.parse(data.timestamp), settings)
  if ('wrong' in truth) return truth
  return {
    transactionId: data.transaction_id,
    userId: data.user_id,
    merchantId: data.merchant_id,
    amountMinor: toMinorUnits(data.amount, data.currency)!.toString(),
    currency: data.currency,
    at: new Date(data.timestamp).toISOString(),
    method: data.payment_method,
    ...place,
    ...truth,
  }
}
