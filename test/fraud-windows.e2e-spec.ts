import fc from 'fast-check'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Principal } from '#libs/auth'
import { Model } from '#libs/inference'
import { createLogger, createPool, inTransaction } from '#libs/platform'
import { factsOf } from '../apps/fraud/src/features/facts.js'
import { addLabels, findPayments, type NewLabel } from '../apps/fraud/src/labels/label.sql.js'
import { POLICY } from '../apps/fraud/src/policy/policy.js'
import type { Decision } from '../apps/fraud/src/transactions/answer.js'
import { type Desk, decideTransaction, openDesk } from '../apps/fraud/src/transactions/decide.js'
import { Transaction } from '../apps/fraud/src/transactions/transaction.js'
import { createTestDatabase, type TestDatabase } from './support/database.js'
import { type Before, WINDOW_FEATURES, windowsByBruteForce } from './support/window-oracle.js'

let database: TestDatabase
let pool: pg.Pool
let lanes: pg.Pool
let admin: pg.Client
let model: Model
let desk: Desk

beforeAll(async () => {
  database = await createTestDatabase()
  const url = database.url('vigil_fraud')
  pool = createPool(url, { applicationName: 'test', max: 2 })
  lanes = createPool(url, { applicationName: 'test', max: 1, pipeline: true })
  admin = new pg.Client({ connectionString: database.adminUrl })
  await admin.connect()
  await admin.query(`SET timezone = 'UTC'`)
  model = await Model.load('models/fraud-gbdt/v1')
  // One lane: payments are decided in the order in which they are submitted.
  const limits = { lanes: 1, mostInBatch: 64, mostWaiting: 10_000 }
  desk = openDesk({ pool, lanes, model, policy: POLICY, logger: createLogger('fraud', 'silent'), limits })
})
afterAll(async () => {
  await Promise.all([pool?.end(), lanes?.end(), admin?.end()])
  await model?.close()
  await database?.drop()
})

const HOUR = 3_600_000
const DAY = 24 * HOUR
const START = Date.parse('2026-03-01T00:00:00Z')
const PLACES = [
  { latitude: 48.8566, longitude: 2.3522 },
  { latitude: 40.7128, longitude: -74.006 },
]

/** Instants that meet at the edges of windows and of hours: a few hours, moved by spans and by a millisecond. */
const instant = fc
  .record({
    base: fc.constantFrom(0, 5 * HOUR + 1_234, 31 * DAY, 31 * DAY + 7 * HOUR + 59_000),
    back: fc.constantFrom(0, 1, 24, 24 * 7, 24 * 30),
    nudge: fc.constantFrom(-1, 0, 1, HOUR / 2),
  })
  .map(({ base, back, nudge }) => START + 4 * DAY + Math.max(0, base - back * HOUR + nudge))

const payment = fc.record({
  at: instant,
  user: fc.constantFrom('a', 'b'),
  merchant: fc.constantFrom('m1', 'm2', 'm3'),
  cents: fc.integer({ min: 0, max: 100_000 }),
  currency: fc.constantFrom('USD', 'EUR'),
  place: fc.constantFrom(...PLACES),
  method: fc.constantFrom('wallet', 'card'),
})
const label = fc.record({ of: fc.nat(30), at: instant, fraud: fc.boolean() })
/** A batch of payments that arrive together, some of them again, and then labels. */
const round = fc.record({
  payments: fc.array(payment, { minLength: 1, maxLength: 8 }),
  again: fc.array(fc.nat(30), { maxLength: 2 }),
  labels: fc.array(label, { maxLength: 4 }),
})

interface Payment {
  at: number
  user: string
  merchant: string
  cents: number
  currency: string
  place: (typeof PLACES)[number]
  method: string
}

const callerOf = (tenant: string) =>
  new Principal({ type: 'client', issuer: 'i', subject: 's', clientId: 'c', tenant, scopes: [] })

const transactionOf = (id: string, { at, user, merchant, cents, currency, place, method }: Payment) =>
  Transaction.parse({
    transaction_id: id,
    user_id: user,
    merchant_id: merchant,
    amount: (cents / 100).toFixed(2),
    currency,
    timestamp: new Date(at).toISOString(),
    location: place,
    payment_method: method,
  })

/** A tenant of its own, told as a story: payments and labels go in, every decision is compared with brute force. */
class Story {
  readonly paid: Transaction[] = []
  private lastLabel = 0

  constructor(readonly tenant: string) {}

  /** Decides payments that arrive together; duplicates of earlier ones among them must change nothing. */
  async pay(payments: Payment[], again: number[] = []): Promise<void> {
    const transactions = payments.map((one, n) => transactionOf(`t-${this.paid.length + n}`, one))
    const repeated = this.paid.length === 0 ? [] : again.map((n) => this.paid[n % this.paid.length]!)
    const before = this.paid.length
    const caller = callerOf(this.tenant)
    const answers = await Promise.all(
      [...transactions, ...repeated, ...transactions].map((one) => decideTransaction(desk, caller, one)),
    )
    const replays = answers.slice(transactions.length)
    expect(replays.every(({ replayed }) => replayed)).toBe(true)
    this.paid.push(...transactions)
    for (const [n, transaction] of transactions.entries())
      await this.compare(transaction, JSON.parse(answers[n]!.response), before + n)
  }

  async label(of: number, at: number, fraud: boolean): Promise<void> {
    const transaction = this.paid[of % this.paid.length]!
    const labelledAt = new Date(Math.max(at, Date.parse(transaction.timestamp))).toISOString()
    const transactionId = transaction.transaction_id
    const added: NewLabel = {
      transactionId,
      label: fraud ? 'fraud' : 'legitimate',
      source: 'analyst',
      labelledAt,
    }
    await inTransaction(pool, async (client) =>
      addLabels(
        client,
        this.tenant,
        await findPayments(client, this.tenant, [transactionId]),
        new Map([[transactionId, added]]),
      ),
    )
    const { rows } = await admin.query('SELECT max(id)::int AS id FROM fraud.label')
    this.lastLabel = rows[0].id
  }

  private async compare(transaction: Transaction, decision: Decision, n: number): Promise<void> {
    const ids = this.paid.slice(0, n).map((one) => one.transaction_id)
    const before: Before = { tenant: this.tenant, ids, label: this.lastLabel }
    const expected = await windowsByBruteForce(admin, factsOf(transaction), before)
    expect(Object.keys(decision.features)).toEqual(expect.arrayContaining([...expected.keys()]))
    const differences = WINDOW_FEATURES.filter((name) => {
      const [was, should] = [decision.features[name]!, expected.get(name)!]
      return !(Math.abs(was - should) <= 1e-9 * Math.max(1, Math.abs(should)) || near(name, was, should))
    }).map((name) => ({ name, was: decision.features[name], should: expected.get(name) }))
    expect(differences).toEqual([])
  }
}

/** Places are kept to a millionth of a degree: distances and speeds to within a metre. */
const near = (name: string, was: number, should: number) =>
  name.startsWith('km') && Math.abs(was - should) < (name === 'km_since_last' ? 0.001 : 0.06)

test('every window equals brute force over the rows: late, repeated, out of order, relabelled, at the edges', async () => {
  let run = 0
  await fc.assert(
    fc.asyncProperty(fc.array(round, { minLength: 1, maxLength: 4 }), async (rounds) => {
      const story = new Story(`story-${++run}`)
      for (const { payments, again, labels } of rounds) {
        await story.pay(payments, again)
        for (const { of, at, fraud } of labels) await story.label(of, at, fraud)
      }
    }),
    { numRuns: 25 },
  )
})

test('also when an account and its merchant are busy for weeks and payments come days late', async () => {
  const story = new Story('busy')
  const random = fc.sample(
    fc.record({ late: fc.constantFrom(0, 0, 0, HOUR, 6 * DAY), minute: fc.nat(59), one: payment }),
    { seed: 7, numRuns: 400 },
  )
  for (let from = 0; from < 400; from += 50) {
    const payments = random.slice(from, from + 50).map(({ late, minute, one }, n) => ({
      ...one,
      user: 'busy',
      merchant: n % 3 === 0 ? 'm2' : 'm1',
      at: START + 7 * DAY + (from + n) * 2 * HOUR + minute * 60_000 - late,
    }))
    await story.pay(payments)
    for (let n = 0; n < 5; n++) await story.label(from + n * 9, payments.at(-1)!.at, n % 2 === 0)
  }
})
