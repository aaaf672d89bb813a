import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Principal } from '#libs/auth'
import { Model } from '#libs/inference'
import { createLogger, createPool, type RunningService } from '#libs/platform'
import { dropOldPayments } from '../apps/fraud/src/history/retention.js'
import { POLICY } from '../apps/fraud/src/policy/policy.js'
import { FraudConfig, startFraud } from '../apps/fraud/src/start.js'
import type { Decision } from '../apps/fraud/src/transactions/answer.js'
import { type Desk, decideTransaction, openDesk } from '../apps/fraud/src/transactions/decide.js'
import { Transaction } from '../apps/fraud/src/transactions/transaction.js'
import { createTestDatabase, type TestDatabase } from './support/database.js'
import { type Issuer, startIssuer } from './support/issuer.js'
import { windowState } from './support/window-state.js'

let database: TestDatabase
let issuer: Issuer
let admin: pg.Client
let pool: pg.Pool
let lanes: pg.Pool
let model: Model
const caller = new Principal({
  type: 'client',
  issuer: 'i',
  subject: 's',
  clientId: 'c',
  tenant: 'default',
  scopes: [],
})
const logger = createLogger('fraud', 'silent')
const limits = { lanes: 2, mostInBatch: 64, mostWaiting: 100 }
const desk = (): Desk => openDesk({ pool, lanes, model, policy: POLICY, logger, limits })

beforeAll(async () => {
  database = await createTestDatabase()
  issuer = await startIssuer()
  admin = new pg.Client({ connectionString: database.adminUrl })
  await admin.connect()
  pool = createPool(database.url('vigil_fraud'), { applicationName: 'test', max: 2 })
  lanes = createPool(database.url('vigil_fraud'), { applicationName: 'test', max: 2, pipeline: true })
  model = await Model.load('models/fraud-gbdt/v1')
})
afterAll(async () => {
  await Promise.all([pool?.end(), lanes?.end(), admin?.end(), issuer?.stop()])
  await model?.close()
  await database?.drop()
})

let counter = 0
const payment = (changes: Record<string, unknown> = {}) => ({
  transaction_id: `tx-${++counter}`,
  user_id: `user-${counter % 5}`,
  amount: 42.5,
  merchant_id: `merchant-${counter % 3}`,
  timestamp: new Date().toISOString(),
  location: { latitude: 48.85, longitude: 2.35 },
  payment_method: 'card_present',
  ...changes,
})
const decide = (at: Desk, changes: Record<string, unknown> = {}) =>
  decideTransaction(at, caller, Transaction.parse(payment(changes)))
const countOf = async (sql: string) =>
  (await admin.query<{ n: number }>(`SELECT count(*)::int AS n FROM ${sql}`)).rows[0]!.n

test('a payment that cannot be decided fails alone, and leaves nothing', async () => {
  await admin.query(`
    CREATE FUNCTION fraud.poison() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF NEW.transaction_id LIKE 'poison%' THEN RAISE EXCEPTION 'poison'; END IF;
      RETURN NEW;
    END $$;
    CREATE TRIGGER poison BEFORE INSERT ON fraud.decision FOR EACH ROW EXECUTE FUNCTION fraud.poison()`)
  const ids = Array.from({ length: 40 }, (_, n) => (n === 7 || n === 31 ? `poison-${n}` : `sound-${n}`))
  const open = desk()
  const ends = await Promise.allSettled(
    ids.map((transaction_id) => decide(open, { transaction_id, user_id: 'shared' })),
  )
  await admin.query('DROP TRIGGER poison ON fraud.decision')
  expect(ends.map(({ status }) => status)).toEqual(
    ids.map((id) => (id.startsWith('poison') ? 'rejected' : 'fulfilled')),
  )
  const counts = ends.flatMap((end) =>
    end.status === 'fulfilled'
      ? [(JSON.parse(end.value.response) as Decision).features.user_transaction_count_1h!]
      : [],
  )
  expect(counts.sort((a, b) => a - b)).toEqual(Array.from({ length: 38 }, (_, n) => n))
  expect(await countOf(`fraud.transaction_id WHERE transaction_id LIKE 'poison%'`)).toBe(0)
  const { stored, recomputed } = await windowState(admin)
  expect(stored).toEqual(recomputed)
})

test('more payments than may wait are told to come again, and those that wait are decided', async () => {
  const config = FraudConfig.parse({
    ...issuer.config,
    DATABASE_URL: database.url('vigil_fraud'),
    DRAIN_DELAY_MS: 0,
    FRAUD_LANES: 1,
    FRAUD_BATCH_MAX: 2,
    FRAUD_QUEUE_MAX: 4,
    FRAUD_DATABASE_TIMEOUT_MS: 60_000,
  })
  const service: RunningService = await startFraud(config, logger)
  const bearer = await issuer.token({ scopes: ['ai:inference'] })
  const post = () =>
    fetch(`${service.url}/api/v1/transactions`, {
      method: 'POST',
      body: JSON.stringify(payment({ user_id: 'held' })),
      headers: { 'content-type': 'application/json', authorization: `Bearer ${bearer}` },
    })
  expect((await post()).status).toBe(200)
  // Whoever holds the account's row stops the only lane.
  await admin.query('BEGIN')
  await admin.query(`SELECT FROM fraud.account WHERE user_id = 'held' FOR UPDATE`)
  const refused: Response[] = []
  let enough = () => {}
  const full = new Promise<void>((resolve) => {
    enough = resolve
  })
  const answers = Promise.all(
    Array.from({ length: 20 }, async () => {
      const answer = await post()
      if (answer.status === 503) refused.push(answer)
      // Two are in the batch that stands still, four may wait.
      if (refused.length === 20 - 2 - 4) enough()
      return answer
    }),
  )
  await full
  await admin.query('ROLLBACK')
  for (const answer of refused) {
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(answer.headers.get('content-type')).toMatch(/problem\+json/)
  }
  expect((await answers).filter(({ status }) => status === 200)).toHaveLength(20 - refused.length)
  await service.stop()
})

test('window state is made anew from the stored payments before anything else is decided', async () => {
  const { stored } = await windowState(admin)
  await admin.query('TRUNCATE fraud.account, fraud.tile; UPDATE fraud.rebuild SET needed = true')
  const before = await countOf(`fraud.transaction WHERE user_id = 'user-1'`)
  const answers = await Promise.all([desk(), desk()].map((one) => decide(one, { user_id: 'user-1' })))
  const counts = answers.map(
    ({ response }) => (JSON.parse(response) as Decision).features.user_transaction_count_30d!,
  )
  expect(counts.sort((a, b) => a - b)).toEqual([before, before + 1])
  const now = await windowState(admin)
  expect(now.stored).toEqual(now.recomputed)
  expect(now.stored.size).toBeGreaterThanOrEqual(stored.size)
})

test('retention drops whole months with their ids and labels, records it, and leaves the young alone', async () => {
  const old = `'2025-01-15T12:00:00Z'::timestamptz`
  await admin.query(`
    CREATE TABLE fraud.transaction_2025_01 PARTITION OF fraud.transaction FOR VALUES FROM ('2025-01-01Z') TO ('2025-02-01Z');
    CREATE TABLE fraud.decision_2025_01 PARTITION OF fraud.decision FOR VALUES FROM ('2025-01-01Z') TO ('2025-02-01Z');
    INSERT INTO fraud.transaction_id (tenant, transaction_id, received_at) VALUES ('default', 'old', ${old});
    INSERT INTO fraud.transaction (tenant, transaction_id, user_id, merchant_id, amount_minor, currency, event_ts,
      payment_method, received_at) VALUES ('default', 'old', 'u', 'm', 1, 'USD', ${old}, 'other', ${old});
    INSERT INTO fraud.label (tenant, transaction_id, label, source, labelled_at, merchant_id, event_ts)
      VALUES ('default', 'old', 'fraud', 'analyst', ${old}, 'm', ${old})`)
  const young = await countOf('fraud.transaction')
  const dropped = await dropOldPayments(pool, 120, Date.now())
  expect(dropped).toMatchObject({ payments: 1, months: ['decision_2025_01', 'transaction_2025_01'] })
  expect(await countOf('fraud.transaction')).toBe(young - 1)
  expect(await countOf(`fraud.label WHERE transaction_id = 'old'`)).toBe(0)
  expect(await countOf(`audit.entry WHERE action = 'PAYMENTS_DROPPED'`)).toBe(1)
  expect(await dropOldPayments(pool, 120, Date.now())).toMatchObject({ payments: 0, months: [] })
  // The id is free again.
  const { response } = await decide(desk(), { transaction_id: 'old' })
  expect(JSON.parse(response)).toMatchObject({ transaction_id: 'old' })
})

test('the service cannot drop what is younger than 90 days, nor anything by itself', async () => {
  await expect(pool.query(`SELECT fraud.drop_months(now() - interval '89 days')`)).rejects.toThrow(/90 days/)
  await expect(pool.query(`SELECT fraud.forget_ids(now(), 1)`)).rejects.toThrow(/90 days/)
  for (const table of ['transaction_id', 'transaction', 'decision', 'label', 'account', 'tile', 'truth'])
    await expect(pool.query(`DELETE FROM fraud.${table}`)).rejects.toThrow(/permission denied/)
  await expect(pool.query('UPDATE fraud.decision SET response = $1', ['x'])).rejects.toThrow(
    /permission denied/,
  )
})
