import { once } from 'node:events'
import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import { createInterface } from 'node:readline'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createLogger, type RunningService } from '#libs/platform'
import { FraudConfig, startFraud } from '../apps/fraud/src/start.js'
import { createTestDatabase, type TestDatabase } from './support/database.js'
import { type Issuer, startIssuer } from './support/issuer.js'

let database: TestDatabase
let issuer: Issuer
let service: RunningService
let admin: pg.Client
let bearer: string

const start = () =>
  startFraud(
    FraudConfig.parse({
      ...issuer.config,
      DATABASE_URL: database.url('vigil_fraud'),
      DRAIN_DELAY_MS: 0,
    }),
    createLogger('fraud', 'silent'),
  )

beforeAll(async () => {
  ;[database, issuer] = await Promise.all([createTestDatabase(), startIssuer()])
  bearer = await issuer.token({ scopes: ['ai:inference', 'data:read'] })
  admin = new pg.Client({ connectionString: database.adminUrl })
  await admin.connect()
  service = await start()
})
afterAll(async () => {
  await service?.stop()
  await issuer?.stop()
  await admin?.end()
  await database?.drop()
})

let counter = 0
const payment = (changes: Record<string, unknown> = {}) => ({
  transaction_id: `b-${++counter}`,
  user_id: `user-${counter}`,
  amount: 42.5,
  currency: 'USD',
  merchant_id: 'merchant-1',
  timestamp: new Date().toISOString(),
  location: { latitude: 48.85, longitude: 2.35 },
  payment_method: 'card_present',
  ...changes,
})
interface Result {
  transaction_id?: string
  decision_id?: string
  idempotent_replayed?: boolean
  type?: string
  status?: number
  line?: number
  features?: Record<string, number>
  errors?: { pointer: string }[]
}

const headers = () => ({ 'content-type': 'application/x-ndjson', authorization: `Bearer ${bearer}` })
async function send(lines: (string | object)[], more: Record<string, string> = {}): Promise<Response> {
  const body = lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n')
  return fetch(`${service.url}/api/v1/transactions/batch`, {
    method: 'POST',
    body,
    headers: { ...headers(), ...more },
  })
}
const resultsOf = async (response: Response): Promise<Result[]> =>
  (await response.text())
    .trimEnd()
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))

/** A stream that is written and read line by line. */
function open(url = service.url): { call: ClientRequest; lines: Promise<AsyncIterator<string>> } {
  const call = request(`${url}/api/v1/transactions/batch`, { method: 'POST', headers: headers() })
  const lines = once(call, 'response').then(([response]) =>
    createInterface({ input: response as IncomingMessage })[Symbol.asyncIterator](),
  )
  call.on('error', () => undefined)
  return { call, lines }
}
const write = (call: ClientRequest, line: object) => call.write(`${JSON.stringify(line)}\n`)
const decisions = async () => Number((await admin.query('SELECT count(*) FROM fraud.decision')).rows[0].count)

describe('a batch', () => {
  test('answers each line in order: a decision as a single post gets it, or its own problem', async () => {
    const [first, second] = [payment(), payment()]
    const response = await send([
      first,
      '{"no": "payment"',
      '',
      payment({ amount: -1 }),
      `{"metadata":"${'x'.repeat(70_000)}"}`,
      payment({ timestamp: '2999-01-01T00:00:00Z' }),
      { ...first, amount: 1 },
      second,
    ])
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe('application/x-ndjson')
    const results = await resultsOf(response)
    expect(results.map((result) => result.status ?? 200)).toEqual([200, 400, 400, 413, 400, 409, 200])
    expect(results.map((result) => result.line)).toEqual([undefined, 2, 4, 5, 6, 7, undefined])
    expect(results[2]!.errors![0]).toMatchObject({ pointer: '/amount' })
    expect(results[6]!.transaction_id).toBe(second.transaction_id)
    const stored = await fetch(`${service.url}/api/v1/transactions/${first.transaction_id}`, {
      headers: headers(),
    })
    expect(((await stored.json()) as { decision: Result }).decision).toEqual(results[0])
  })

  test('is answered while it is being sent', async () => {
    const { call, lines } = open()
    for (let n = 0; n < 3; n++) {
      const body = payment()
      write(call, body)
      const { value } = await (await lines).next()
      expect(JSON.parse(value)).toMatchObject({ transaction_id: body.transaction_id })
    }
    call.end()
    expect((await (await lines).next()).done).toBe(true)
  })

  test('decides the payments of one account in the order of their lines', async () => {
    const timestamp = new Date().toISOString()
    const lines = Array.from({ length: 120 }, (_, n) =>
      payment({ timestamp, user_id: n % 2 ? 'ordered' : `else-${n}` }),
    )
    const results = await resultsOf(await send(lines))
    const seen = results.filter((_, n) => n % 2).map((result) => result.features!.user_transaction_count_1h)
    expect(seen).toEqual(Array.from({ length: 60 }, (_, n) => n))
  })

  test('that was cut is sent again: what is decided is answered from the record, and says so', async () => {
    const lines = Array.from({ length: 300 }, () => payment())
    const { call, lines: answers } = open()
    for (const line of lines.slice(0, 150)) write(call, line)
    const { value } = await (await answers).next()
    call.destroy()
    const before = await decisions()
    const results = await resultsOf(await send(lines))
    expect(results).toHaveLength(300)
    expect(results[0]).toEqual({ ...JSON.parse(value), idempotent_replayed: true })
    const replayed = results.filter((result) => result.idempotent_replayed).length
    expect(replayed).toBeGreaterThan(0)
    expect(replayed).toBeLessThanOrEqual(150)
    expect(await decisions()).toBeGreaterThanOrEqual(before + 150)
    expect(new Set(results.map((result) => result.decision_id)).size).toBe(300)
  })

  test('whose sender is gone is not worked on', async () => {
    const before = await decisions()
    const { call, lines } = open()
    const many = Array.from({ length: 3_000 }, () => JSON.stringify(payment())).join('\n')
    call.write(many)
    await (await lines).next()
    call.destroy()
    const seen = [-1]
    const isSettled = async () => seen.push(await decisions()) && seen.at(-1) === seen.at(-2)
    await expect.poll(isSettled, { timeout: 20_000, interval: 700 }).toBe(true)
    expect(seen.at(-1)! - before).toBeGreaterThan(0)
    expect(seen.at(-1)! - before).toBeLessThan(3_000)
  })

  test('rides over a database that loses every connection', async () => {
    const lines = Array.from({ length: 400 }, () => payment())
    const { call, lines: answers } = open()
    for (const line of lines.slice(0, 200)) write(call, line)
    const first = JSON.parse((await (await answers).next()).value) as Result
    await admin.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'vigil_fraud' AND datname = current_database()",
    )
    for (const line of lines.slice(200)) write(call, line)
    call.end()
    const results = [first]
    const rest = await answers
    for (let next = await rest.next(); !next.done; next = await rest.next())
      results.push(JSON.parse(next.value))
    expect(results.map((result) => result.transaction_id)).toEqual(lines.map((line) => line.transaction_id))
  })

  test('under way when the service stops is ended in order, and says where to go on', async () => {
    const other = await start()
    const { call, lines } = open(other.url)
    const body = payment()
    write(call, body)
    const { value } = await (await lines).next()
    expect(JSON.parse(value)).toMatchObject({ transaction_id: body.transaction_id })
    const stopped = other.stop()
    expect(JSON.parse((await (await lines).next()).value)).toMatchObject({ status: 503 })
    expect((await (await lines).next()).done).toBe(true)
    call.destroy()
    await stopped
  })

  test.each([
    ['JSON', { 'content-type': 'application/json' }, 415],
    ['text', { 'content-type': 'text/plain' }, 415],
    ['no token', { authorization: '' }, 401],
  ])('with %s is refused', async (_case, more, status) => {
    const response = await send([payment()], more as Record<string, string>)
    expect(response.status).toBe(status)
    expect(response.headers.get('content-type')).toMatch(/problem\+json/)
  })

  test('of nothing has no answers', async () => {
    expect(await resultsOf(await send([]))).toEqual([])
  })
})
