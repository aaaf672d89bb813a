import pg from 'pg'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { Model, type RunnableModel, type Values } from '#libs/inference'
import { createLogger, type RunningService } from '#libs/platform'
import { FraudConfig, startFraud } from '../apps/fraud/src/start.js'
import type { Decision } from '../apps/fraud/src/transactions/answer.js'
import { createTestDatabase, type TestDatabase } from './support/database.js'
import { type Issuer, startIssuer } from './support/issuer.js'

const sleep = (ms: number) => new Promise<void>((done) => setTimeout(done, ms))
const RECOVER_MS = 800

/** The real model, which can be made to fail as models do. */
class Moody implements RunnableModel {
  mood: 'well' | 'throws' | 'hangs' | 'slow' = 'well'
  hanging: (() => void)[] = []
  calls = 0
  delay = 0

  constructor(private readonly model: Model) {}
  get card() {
    return this.model.card
  }
  get name() {
    return this.model.name
  }
  get version() {
    return this.model.version
  }
  get digest() {
    return this.model.digest
  }
  async run(inputs: Record<string, Values>): Promise<Record<string, Values>> {
    this.calls++
    if (this.mood === 'throws') throw new Error('the session is broken')
    if (this.mood === 'hangs') await new Promise<void>((done) => this.hanging.push(done))
    if (this.mood === 'slow') await sleep(this.delay)
    return this.model.run(inputs)
  }
  release(): void {
    for (const done of this.hanging.splice(0)) done()
  }
  close = () => this.model.close()
}

let database: TestDatabase
let issuer: Issuer
let service: RunningService
let admin: pg.Client
let model: Moody
let bearer: string
const log: string[] = []

beforeAll(async () => {
  ;[database, issuer] = await Promise.all([createTestDatabase(), startIssuer()])
  bearer = await issuer.token({ scopes: ['ai:inference', 'data:read'] })
  admin = new pg.Client({ connectionString: database.adminUrl })
  await admin.connect()
  model = new Moody(await Model.load('models/fraud-gbdt/v1'))
  const config = FraudConfig.parse({
    ...issuer.config,
    DATABASE_URL: database.url('vigil_fraud'),
    DRAIN_DELAY_MS: 0,
    FRAUD_MODEL_TIMEOUT_MS: 250,
    FRAUD_MODEL_FAILURES: 2,
    FRAUD_MODEL_RECOVER_MS: RECOVER_MS,
  })
  const logger = createLogger('fraud', 'info', { write: (line) => void log.push(line) })
  service = await startFraud(config, logger, async () => model)
  // Connections and plans are made.
  for (let n = 0; n < 3; n++) await decide()
})
afterAll(async () => {
  model?.release()
  await service?.stop()
  await issuer?.stop()
  await admin?.end()
  await database?.drop()
})
beforeEach(async () => {
  model.mood = 'well'
  model.release()
  await expect.poll(async () => (await decide()).degraded, { timeout: 10_000, interval: 100 }).toBe(false)
})

let counter = 0
async function decide(changes: Record<string, unknown> = {}): Promise<Decision> {
  const response = await fetch(`${service.url}/api/v1/transactions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${bearer}` },
    body: JSON.stringify({
      transaction_id: `dg-${++counter}`,
      user_id: `user-${counter}`,
      amount: 12.34,
      merchant_id: 'merchant-1',
      timestamp: new Date().toISOString(),
      location: { latitude: 48.85, longitude: 2.35 },
      payment_method: 'wallet',
      ...changes,
    }),
  })
  expect(response.status).toBe(200)
  return (await response.json()) as Decision
}
const reasonOf = async () => (await decide()).degraded_reason
const metric = async (name: string): Promise<number> => {
  const text = await (await fetch(`${service.url}/metrics`)).text()
  const line = text.split('\n').find((one) => one.startsWith(name))
  return Number(line?.split(' ').at(-1))
}

test('a model that throws: rules decide, marked; then it is left alone; then it is used again without a restart', async () => {
  const before = await metric('fraud_decisions_total{decision="approve",degraded="true"}').catch(() => 0)
  model.mood = 'throws'
  expect(await reasonOf()).toBe('the model could not be run')
  expect(await reasonOf()).toBe('the model could not be run')
  const calls = model.calls
  const rested = await decide()
  expect(rested).toMatchObject({
    degraded: true,
    degraded_reason: 'the model failed repeatedly and is given a rest',
    model: null,
    decision: 'approve',
  })
  expect(model.calls).toBe(calls)
  expect(await metric('dependency_breaker_open{dependency="model"}')).toBe(1)
  expect(await metric('fraud_decisions_total{decision="approve",degraded="true"}')).toBe((before || 0) + 3)
  const { rows } = await admin.query(
    `SELECT convert_from(body, 'UTF8')::jsonb #> '{entry,details,degraded}' AS degraded FROM audit.entry WHERE id = $1`,
    [rested.audit_entry_id],
  )
  expect(rows).toEqual([{ degraded: true }])
  expect(log.join('')).toMatch(/rules decide alone/)
  expect(log.join('')).toMatch(/"dependency":"model".*given a rest/)

  model.mood = 'well'
  await sleep(RECOVER_MS)
  expect(await decide()).toMatchObject({ degraded: false, model: { version: 'v1' } })
  expect(await metric('dependency_breaker_open{dependency="model"}')).toBe(0)
})

test('a model that hangs is not waited for, and does not gather calls', async () => {
  model.mood = 'hangs'
  expect(await reasonOf()).toBe('the model did not answer in time')
  const many = await Promise.all(Array.from({ length: 60 }, () => decide()))
  expect(many.every((decision) => decision.degraded)).toBe(true)
  await sleep(RECOVER_MS)
  expect((await decide()).degraded).toBe(true)
  expect(model.hanging.length).toBeLessThan(12)
})

test('a model that is slow decides as long as it is quick enough, and not longer', async () => {
  model.mood = 'slow'
  model.delay = 10
  expect((await decide()).degraded).toBe(false)
  model.delay = 600
  expect(await reasonOf()).toBe('the model did not answer in time')
})

test('a decision by rules alone is kept: asked again, it is the same', async () => {
  model.mood = 'throws'
  const changes = {
    transaction_id: 'dg-kept',
    user_id: 'kept',
    timestamp: new Date(Date.now() - 1_000).toISOString(),
  }
  const first = await decide(changes)
  expect(first.degraded).toBe(true)
  model.mood = 'well'
  await sleep(RECOVER_MS)
  expect(await decide(changes)).toEqual(first)
})

test('rules still speak without a model', async () => {
  const at = Date.now()
  await decide({ user_id: 'traveller', timestamp: new Date(at - 600_000).toISOString() })
  model.mood = 'throws'
  const far = { user_id: 'traveller', location: { latitude: 35.68, longitude: 139.69 } }
  expect(await decide(far)).toMatchObject({
    degraded: true,
    decision: 'review',
    reasons: [{ code: 'IMPOSSIBLE_TRAVEL' }],
  })
})
