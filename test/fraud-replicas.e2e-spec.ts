import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Decision } from '../apps/fraud/src/transactions/answer.js'
import { createTestDatabase, type TestDatabase } from './support/database.js'
import { type Issuer, startIssuer } from './support/issuer.js'
import { type Replica, startReplica } from './support/replica.js'
import { windowState } from './support/window-state.js'

let database: TestDatabase
let issuer: Issuer
let replicas: Replica[]
let admin: pg.Client
let bearer: string

beforeAll(async () => {
  database = await createTestDatabase()
  issuer = await startIssuer()
  bearer = await issuer.token({ scopes: ['ai:inference', 'data:read'] })
  admin = new pg.Client({ connectionString: database.adminUrl })
  await admin.connect()
  const env = { ...issuer.config, DATABASE_URL: database.url('vigil_fraud') }
  replicas = await Promise.all([startReplica(env), startReplica(env)])
})
afterAll(async () => {
  await Promise.all((replicas ?? []).map((replica) => replica.kill()))
  await issuer?.stop()
  await admin?.end()
  await database?.drop()
})

let counter = 0
const payment = (changes: Record<string, unknown> = {}) => ({
  transaction_id: `tx-${++counter}`,
  user_id: `user-${counter}`,
  amount: 42.5,
  merchant_id: 'merchant-1',
  timestamp: new Date().toISOString(),
  location: { latitude: 48.85, longitude: 2.35 },
  payment_method: 'card_present',
  ...changes,
})
const post = (body: unknown, replica: number) =>
  fetch(`${replicas[replica]!.url}/api/v1/transactions`, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json', authorization: `Bearer ${bearer}` },
  })

test('200 payments of one account through two processes see 0 to 199 predecessors, each exactly once', async () => {
  const timestamp = new Date().toISOString()
  const answers = await Promise.all(
    Array.from({ length: 200 }, (_, at) => post(payment({ user_id: 'busy', timestamp }), at % 2)),
  )
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
  const seen = await Promise.all(
    answers.map(async (answer) => ((await answer.json()) as Decision).features.user_transaction_count_1h!),
  )
  expect(seen.sort((a, b) => a - b)).toEqual(Array.from({ length: 200 }, (_, at) => at))
})

test('fifty posts of one payment through two processes have one effect and one answer', async () => {
  const body = payment()
  const answers = await Promise.all(Array.from({ length: 50 }, (_, at) => post(body, at % 2)))
  expect(new Set(await Promise.all(answers.map((answer) => answer.text()))).size).toBe(1)
  expect(answers.filter((answer) => !answer.headers.has('idempotent-replayed'))).toHaveLength(1)
})

test('accounts, merchants, places and ids in every order: nobody waits for each other, and nothing is counted twice', async () => {
  // Few accounts and a busy merchant, so that batches of both processes share most of their rows, and some ids twice.
  const pick = (n: number, of: number) => (n * 7919 + 13) % of
  const bodies = Array.from({ length: 600 }, (_, n) =>
    payment({
      transaction_id: `mix-${n % 550}`,
      user_id: `mix-${pick(n % 550, 12)}`,
      merchant_id: pick(n % 550, 3) === 0 ? 'hot' : `m-${pick(n % 550, 9)}`,
      location: { latitude: pick(n % 550, 5) * 10, longitude: 0 },
      timestamp: new Date(Date.now() - pick(n % 550, 90_000)).toISOString().replace(/\d{4}Z$/, '000Z'),
    }),
  )
  const bodyOf = new Map(bodies.map((body) => [body.transaction_id, body]))
  const order = bodies.map((body, n) => ({ body: bodyOf.get(body.transaction_id)!, key: pick(n, 600) }))
  order.sort((a, b) => a.key - b.key)
  const statuses = await Promise.all(order.map(async ({ body }, n) => (await post(body, n % 2)).status))
  expect(new Set(statuses)).toEqual(new Set([200]))
  const { rows } = await admin.query(
    `SELECT (SELECT deadlocks::int FROM pg_stat_database WHERE datname = current_database()) AS deadlocks,
      (SELECT count(*)::int FROM fraud.transaction WHERE transaction_id LIKE 'mix-%') AS payments`,
  )
  expect(rows).toEqual([{ deadlocks: 0, payments: 550 }])
  const { stored, recomputed } = await windowState(admin)
  expect(stored).toEqual(recomputed)
})

test('a busy merchant is counted by all lanes together', async () => {
  const before = await admin.query(
    `SELECT count(*)::int AS n FROM fraud.transaction WHERE merchant_id = 'hot'`,
  )
  const answer = await post(payment({ merchant_id: 'hot' }), 0)
  const { features } = (await answer.json()) as Decision
  expect(features.merchant_transaction_count_1d).toBe(before.rows[0].n)
  const { rows } = await admin.query(`SELECT count(*)::int AS lanes FROM fraud.tile WHERE key = 'hot'`)
  expect(rows[0].lanes).toBeGreaterThan(1)
})
