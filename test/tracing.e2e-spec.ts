import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createLogger, type RunningService } from '#libs/platform'
import { FraudConfig, startFraud } from '../apps/fraud/src/start.js'
import { type Collector, startCollector } from './support/collector.js'
import { createTestDatabase, type TestDatabase } from './support/database.js'
import { type Issuer, startIssuer } from './support/issuer.js'

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const CALLER = '00f067aa0ba902b7'

let database: TestDatabase
let issuer: Issuer
let collector: Collector
let service: RunningService
let bearer: string
let events: string[]

const post = (id: string, headers: Record<string, string> = {}) =>
  fetch(`${service.url}/api/v1/transactions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${bearer}`, ...headers },
    body: JSON.stringify({
      transaction_id: id,
      user_id: 'canary-account',
      amount: 12.34,
      merchant_id: 'canary-merchant',
      timestamp: new Date().toISOString(),
      location: { latitude: 48.85, longitude: 2.35 },
      payment_method: 'wallet',
    }),
  })

beforeAll(async () => {
  ;[database, issuer, collector] = await Promise.all([createTestDatabase(), startIssuer(), startCollector()])
  bearer = await issuer.token({ scopes: ['ai:inference', 'data:read'] })
  const config = FraudConfig.parse({
    ...issuer.config,
    DATABASE_URL: database.url('vigil_fraud'),
    DRAIN_DELAY_MS: 0,
    OTEL_EXPORTER_OTLP_ENDPOINT: `${collector.url}/`,
  })
  service = await startFraud(config, createLogger('fraud', 'silent'))
  await post('canary-traced', { traceparent: `00-${TRACE}-${CALLER}-01` })
  await Promise.all(Array.from({ length: 12 }, (_, n) => post(`canary-together-${n}`)))
  await post('canary-unsampled', { traceparent: `00-${TRACE.replace('4', '5')}-${CALLER}-00` })
  await fetch(`${service.url}/api/v1/transactions/canary-traced?x=canary-query`, {
    headers: { authorization: `Bearer ${bearer}` },
  })
  await fetch(`${service.url}/ready`)
  const admin = new pg.Client({ connectionString: database.adminUrl })
  await admin.connect()
  const { rows } = await admin.query(`SELECT payload ->> 'traceparent' AS traceparent FROM fraud.outbox`)
  events = rows.map((row) => row.traceparent)
  await admin.end()
  // What is left is delivered when the service stops.
  await service.stop()
})
afterAll(async () => {
  await collector?.stop()
  await issuer?.stop()
  await database?.drop()
})

const named = (name: string) => collector.spans.filter((span) => span.name === name)

test('a request is a span below its caller, by route, with its status', () => {
  const [span] = named('POST /api/v1/transactions')
  expect(span).toMatchObject({
    service: 'vigil-fraud',
    kind: 2,
    traceId: TRACE,
    parentSpanId: CALLER,
    attributes: { 'http.route': '/api/v1/transactions', 'http.response.status_code': 200 },
    failed: false,
  })
  expect(named('GET /api/v1/transactions/:id')[0]?.parentSpanId ?? '').toBe('')
})

test('probes, and what its caller does not record, are no spans', () => {
  expect(named('GET /ready')).toEqual([])
  expect(named('POST /api/v1/transactions')).toHaveLength(13)
})

test('statements are spans below the request, told by name and never by value', () => {
  const [request] = named('GET /api/v1/transactions/:id')
  const statements = collector.spans.filter((span) => span.parentSpanId === request!.spanId)
  expect(statements.map((span) => span.attributes['db.query.summary'])).toContain('SELECT')
  expect(collector.spans.filter((span) => span.traceId === TRACE).map((span) => span.name)).toContain(
    'sql COMMIT',
  )
})

test('a decision is told from its request through the batch and the model to its statements', () => {
  const trace = collector.spans.filter((span) => span.traceId === TRACE)
  const [request] = trace.filter((span) => span.name === 'POST /api/v1/transactions')
  const [batch] = trace.filter((span) => span.name === 'decide batch')
  expect(batch).toMatchObject({ parentSpanId: request!.spanId, attributes: { 'vigil.batch.size': 1 } })
  const below = trace.filter((span) => span.parentSpanId === batch!.spanId).map((span) => span.name)
  expect(below).toEqual(expect.arrayContaining(['model run', 'sql COMMIT']))
})

test('a batch of several requests is linked to each of them', () => {
  const requests = new Set(named('POST /api/v1/transactions').map((span) => span.spanId))
  const batches = named('decide batch')
  const told = batches.flatMap((batch) => [batch.parentSpanId!, ...batch.links.map((link) => link.spanId)])
  expect(told.every((id) => requests.has(id))).toBe(true)
  expect(told).toHaveLength(13)
  expect(batches.length).toBeLessThan(13)
})

test('the event of a decision carries on the trace', () => {
  const [request] = named('POST /api/v1/transactions').filter((span) => span.traceId === TRACE)
  expect(events).toContain(`00-${TRACE}-${request!.spanId}-01`)
})

test('nothing that names a person, a payment or a secret leaves with the spans', () => {
  expect(collector.raw()).toContain('vigil-fraud')
  expect(collector.raw()).not.toContain('canary')
  expect(collector.raw()).not.toContain(bearer)
})
