import { readFileSync } from 'node:fs'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Model } from '#libs/inference'
import { createLogger, type RunningService } from '#libs/platform'
import { FraudConfig, startFraud } from '../apps/fraud/src/start.js'
import type { Decision } from '../apps/fraud/src/transactions/answer.js'
import { createTestDatabase, type TestDatabase } from './support/database.js'
import { type Issuer, startIssuer } from './support/issuer.js'

let database: TestDatabase
let issuer: Issuer
let services: RunningService[]
let admin: pg.Client
let bearer: string
const logLines: string[] = []

beforeAll(async () => {
  database = await createTestDatabase()
  issuer = await startIssuer()
  bearer = await issuer.token({ scopes: ['ai:inference', 'data:read', 'fraud:review'] })
  admin = new pg.Client({ connectionString: database.adminUrl })
  await admin.connect()
  const config = FraudConfig.parse({
    ...issuer.config,
    DATABASE_URL: database.url('vigil_fraud'),
    DRAIN_DELAY_MS: 0,
  })
  const logger = createLogger('fraud', 'info', { write: (line) => void logLines.push(line) })
  services = [await startFraud(config, logger), await startFraud(config, logger)]
})
afterAll(async () => {
  await Promise.all((services ?? []).map((service) => service.stop()))
  await issuer?.stop()
  await admin?.end()
  await database?.drop()
})

let counter = 0
const payment = (changes: Record<string, unknown> = {}) => ({
  transaction_id: `tx-${++counter}`,
  user_id: `user-${counter}`,
  amount: 42.5,
  currency: 'USD',
  merchant_id: 'merchant-1',
  timestamp: new Date().toISOString(),
  location: { latitude: 48.85, longitude: 2.35 },
  payment_method: 'card_present',
  ...changes,
})
const send = (body: string, headers: Record<string, string> = {}, replica = 0) =>
  fetch(`${services[replica]!.url}/api/v1/transactions`, {
    method: 'POST',
    body,
    headers: { 'content-type': 'application/json', authorization: `Bearer ${bearer}`, ...headers },
  })
const post = (body: unknown, replica = 0) => send(JSON.stringify(body), {}, replica)
const get = (path: string, token = bearer) =>
  fetch(`${services[0]!.url}${path}`, { headers: { authorization: `Bearer ${token}` } })
const label = (body: Record<string, unknown>) =>
  fetch(`${services[0]!.url}/api/v1/labels`, {
    method: 'POST',
    body: JSON.stringify({ label: 'fraud', source: 'chargeback', ...body }),
    headers: { 'content-type': 'application/json', authorization: `Bearer ${bearer}` },
  })
const count = async (table: string) =>
  Number((await admin.query(`SELECT count(*) FROM ${table}`)).rows[0].count)

describe('a payment', () => {
  test('is decided, stored, recorded and announced at once', async () => {
    const body = payment()
    const response = await post(body)
    expect(response.status).toBe(200)
    const decision = (await response.json()) as Decision
    expect(decision).toMatchObject({
      transaction_id: body.transaction_id,
      decision: 'approve',
      degraded: false,
      model: { name: 'fraud-gbdt', version: 'v1' },
      features: {
        amount: 42.5,
        user_transaction_count_30d: 0,
        user_avg_transaction: 0,
        merchant_risk_score: 0.01,
        payment_method_encoded: 0,
      },
    })
    expect(decision.correlation_id).toBe(response.headers.get('x-correlation-id'))
    const { rows } = await admin.query(
      `SELECT convert_from(e.body, 'UTF8')::jsonb #> '{entry,details}' AS details, o.topic FROM audit.entry e
       JOIN fraud.outbox o ON o.payload ->> 'transaction_id' = e.subject_id WHERE e.id = $1`,
      [decision.audit_entry_id],
    )
    expect(rows).toEqual([
      {
        topic: 'decision.approve',
        details: expect.objectContaining({ decision: 'approve', model: 'fraud-gbdt/v1' }),
      },
    ])
  })

  test('sent again gets the first answer byte for byte, however it is written; another body is a conflict', async () => {
    const body = payment({ amount: '10.50' })
    const first = await (await post(body)).text()
    const reordered = JSON.stringify({ ...Object.fromEntries(Object.entries(body).reverse()), amount: 10.5 })
    for (const text of [JSON.stringify(body), reordered]) {
      const again = await send(text)
      expect(again.headers.get('idempotent-replayed')).toBe('true')
      expect(await again.text()).toBe(first)
    }
    const other = await post({ ...body, amount: 11 })
    expect(other.status).toBe(409)
    expect(await other.json()).toMatchObject({ errors: [{ pointer: '/transaction_id' }] })
  })

  test('can be read back, by its tenant alone', async () => {
    const body = payment()
    const decision = (await (await post(body)).json()) as Decision
    const stored = (await (await get(`/api/v1/transactions/${body.transaction_id}`)).json()) as {
      decision: Decision
      transaction: object
    }
    expect(stored.decision).toEqual(decision)
    expect(stored.transaction).toMatchObject({ amount_minor: 4250, currency: 'USD', user_id: body.user_id })
    const stranger = await issuer.token({ scopes: ['data:read'], tenant: 'elsewhere' })
    const bodies = await Promise.all(
      [body.transaction_id, 'not-there'].map(async (id) => {
        const response = await get(`/api/v1/transactions/${id}`, stranger)
        expect(response.status).toBe(404)
        return { ...((await response.json()) as object), instance: '' }
      }),
    )
    expect(bodies[0]).toEqual(bodies[1])
    const list = (await (await get(`/api/v1/decisions?user_id=${body.user_id}`)).json()) as {
      decisions: Decision[]
    }
    expect(list.decisions).toEqual([decision])
  })

  test('with the marks of a stolen card is not approved, and the reasons say why', async () => {
    const user = 'traveller'
    const start = Date.now() - 3_600_000
    for (let n = 0; n < 5; n++) {
      await post(payment({ user_id: user, timestamp: new Date(start + n * 1000).toISOString() }))
    }
    const far = payment({ user_id: user, amount: 900, location: { latitude: 35.68, longitude: 139.69 } })
    const decision = (await (await post(far)).json()) as Decision
    expect(decision.decision).not.toBe('approve')
    expect(decision.reasons[0]).toMatchObject({ code: 'IMPOSSIBLE_TRAVEL', feature: 'kmh_since_last' })
    expect(decision.features.user_transaction_count_1d).toBe(5)
  })
})

describe('bad input is named and leaves nothing', () => {
  const soon = new Date(Date.now() + 3_600_000).toISOString()
  const cases: [string, Record<string, unknown>, string][] = [
    ...['transaction_id', 'user_id', 'amount', 'merchant_id', 'timestamp', 'location', 'payment_method'].map(
      (field) =>
        [`missing ${field}`, { [field]: undefined }, `/${field}`] as [
          string,
          Record<string, unknown>,
          string,
        ],
    ),
    ...['transaction_id', 'user_id', 'merchant_id', 'timestamp', 'payment_method', 'currency'].map(
      (field) =>
        [`${field} of the wrong type`, { [field]: 7 }, `/${field}`] as [
          string,
          Record<string, unknown>,
          string,
        ],
    ),
    ['an empty id', { transaction_id: '' }, '/transaction_id'],
    ['a long id', { user_id: 'x'.repeat(129) }, '/user_id'],
    ['a NUL in an id', { merchant_id: 'a\u0000b' }, '/merchant_id'],
    ['a line break in an id', { user_id: 'a\nb' }, '/user_id'],
    ['half a surrogate pair', { user_id: '\ud800' }, '/user_id'],
    ['a negative amount', { amount: -1 }, '/amount'],
    ['a huge amount', { amount: 1e15 }, '/amount'],
    ['three decimals', { amount: 1.005 }, '/amount'],
    ['an amount in words', { amount: 'ten' }, '/amount'],
    ['an exponent', { amount: '1e3' }, '/amount'],
    ['null as amount', { amount: null }, '/amount'],
    ['decimals where the currency has none', { amount: 10.5, currency: 'JPY' }, '/amount'],
    ['an unknown currency', { currency: 'XXQ' }, '/currency'],
    ['a future date', { timestamp: soon }, '/timestamp'],
    ['a date without seconds', { timestamp: '2026-01-01T00:00Z' }, '/timestamp'],
    ['an offset that no place has', { timestamp: '2026-01-01T00:00:00+20:00' }, '/timestamp'],
    ['a date before 2000', { timestamp: '1999-12-31T23:59:59Z' }, '/timestamp'],
    ['a date without zone', { timestamp: '2026-01-01T00:00:00' }, '/timestamp'],
    ['an impossible date', { timestamp: '2026-02-30T00:00:00Z' }, '/timestamp'],
    ['a latitude out of range', { location: { latitude: 91, longitude: 0 } }, '/location/latitude'],
    ['a longitude out of range', { location: { latitude: 0, longitude: -181 } }, '/location/longitude'],
    ['an unknown method', { payment_method: 'gold' }, '/payment_method'],
    ['an unknown field', { surprise: 1 }, '/surprise'],
    [
      'an unknown field inside',
      { location: { latitude: 0, longitude: 0, altitude: 1 } },
      '/location/altitude',
    ],
    ['nested metadata', { metadata: { a: { b: 1 } } }, '/metadata/a'],
    ['a NUL in metadata', { metadata: { a: '\u0000' } }, '/metadata/a'],
    [
      'too much metadata',
      { metadata: Object.fromEntries(Array.from({ length: 21 }, (_, at) => [`k${at}`, at])) },
      '/metadata',
    ],
  ]
  test.each(cases)('%s', async (_case, changes, pointer) => {
    const before = await count('fraud.transaction')
    const response = await post(payment(changes))
    expect(response.status).toBe(400)
    expect(response.headers.get('content-type')).toMatch(/problem\+json/)
    const { errors } = (await response.json()) as { errors: { pointer: string }[] }
    expect(errors.map((error) => error.pointer)).toContain(pointer)
    expect(await count('fraud.transaction')).toBe(before)
  })

  test.each([
    ['NaN', JSON.stringify(payment()).replace('42.5', 'NaN'), 'application/json', 400],
    ['no JSON', '{', 'application/json', 400],
    ['a list', '[]', 'application/json', 400],
    ['nothing', '', 'application/json', 400],
    ['10 MB', JSON.stringify(payment({ metadata: { a: 'x'.repeat(10_000_000) } })), 'application/json', 413],
    ['XML', '<payment/>', 'application/xml', 415],
  ])('a body that is %s', async (_case, body, type, status) => {
    const response = await send(body, { 'content-type': type })
    expect(response.status).toBe(status)
    expect(response.headers.get('content-type')).toMatch(/problem\+json/)
  })

  test('invalid UTF-8', async () => {
    const body = Buffer.from(JSON.stringify(payment({ user_id: 'AB' })).replace('AB', '\u00ff'), 'latin1')
    const response = await fetch(`${services[0]!.url}/api/v1/transactions`, {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json', authorization: `Bearer ${bearer}` },
    })
    expect(response.status).toBe(400)
  })

  test.each([
    ['a NUL in the path', '/api/v1/transactions/a%00b', 404],
    ['a NUL in a filter', '/api/v1/decisions?user_id=a%00b', 400],
    ['a limit of words', '/api/v1/decisions?limit=all', 400],
    ['a time that is none', '/api/v1/decisions?from=yesterday', 400],
    ['a year that PostgreSQL has not', '/api/v1/decisions?from=0000-01-01T00:00:00Z', 400],
    ['an unknown filter', '/api/v1/decisions?card=1', 400],
    ['a cursor that is none', '/api/v1/decisions?cursor=abc', 400],
    [
      'a forged cursor',
      `/api/v1/decisions?cursor=${Buffer.from('["2026-99-99 00:00:00+00","01890a5d-ac96-774b-bcce-b302099a8057"]').toString('base64url')}`,
      400,
    ],
  ])('%s', async (_case, path, status) => {
    expect((await get(path)).status).toBe(status)
  })

  test.each([
    ['an unknown transaction', { transaction_id: 'nowhere' }, 404],
    ['a NUL', { transaction_id: 'a\u0000b' }, 400],
    ['an unknown label', { label: 'odd' }, 400],
    ['an unknown source', { source: 'rumour' }, 400],
    ['a future time', { labelled_at: soon }, 400],
    ['an unknown field', { note: 'x' }, 400],
  ])('a label with %s', async (_case, changes, status) => {
    const before = await count('fraud.label')
    expect((await label({ transaction_id: 'tx-1', ...changes })).status).toBe(status)
    expect(await count('fraud.label')).toBe(before)
  })

  test('a token without the scope, and none at all', async () => {
    const reader = await issuer.token({ scopes: ['data:read'] })
    expect((await send(JSON.stringify(payment()), { authorization: `Bearer ${reader}` })).status).toBe(403)
    expect((await send(JSON.stringify(payment()), { authorization: '' })).status).toBe(401)
  })
})

describe('many at once', () => {
  test('fifty posts of one payment have one effect and equal answers', async () => {
    const body = payment()
    const answers = await Promise.all(Array.from({ length: 50 }, (_, at) => post(body, at % 2)))
    const texts = await Promise.all(answers.map((answer) => answer.text()))
    expect(new Set(texts).size).toBe(1)
    expect(answers.filter((answer) => !answer.headers.has('idempotent-replayed'))).toHaveLength(1)
    const { rows } = await admin.query('SELECT count(*)::int AS n FROM audit.entry WHERE subject_id = $1', [
      body.transaction_id,
    ])
    expect(rows[0].n).toBe(1)
  })

  test('one id for two accounts: one is decided, the other a conflict', async () => {
    const bodies = Array.from({ length: 10 }, (_, at) =>
      payment({ transaction_id: 'contested', user_id: `rival-${at}` }),
    )
    const statuses = await Promise.all(bodies.map(async (body, at) => (await post(body, at % 2)).status))
    expect(statuses.sort()).toEqual([200, ...Array(9).fill(409)])
  })

  test('200 payments of one account through two replicas see 0 to 199 predecessors, each exactly once', async () => {
    const timestamp = new Date().toISOString()
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, at) => post(payment({ user_id: 'busy', timestamp }), at % 2)),
    )
    const refused = answers.filter(({ status }) => status !== 200)
    expect(await Promise.all(refused.map((answer) => answer.text()))).toEqual([])
    const seen = await Promise.all(
      answers.map(async (answer) => ((await answer.json()) as Decision).features.user_transaction_count_1h!),
    )
    expect(seen.sort((a, b) => a - b)).toEqual(Array.from({ length: 200 }, (_, at) => at))
  })

  test('every decision has exactly one audit entry, and every entry its decision', async () => {
    const { rows } = await admin.query(
      `SELECT (SELECT count(*)::int FROM fraud.decision) AS decisions,
        (SELECT count(*)::int FROM audit.entry WHERE action = 'TRANSACTION_DECIDED') AS entries,
        (SELECT count(*)::int FROM fraud.decision d JOIN audit.entry e ON e.id = d.audit_entry_id) AS pairs,
        (SELECT count(*)::int FROM fraud.outbox) AS events`,
    )
    expect(new Set(Object.values(rows[0])).size).toBe(1)
  })
})

test('when the audit entry cannot be written, nothing is decided', async () => {
  await admin.query('REVOKE EXECUTE ON FUNCTION audit.append_all(uuid[], text[]) FROM vigil_app')
  const body = payment()
  const response = await post(body)
  await admin.query('GRANT EXECUTE ON FUNCTION audit.append_all(uuid[], text[]) TO vigil_app')
  expect(response.status).toBe(500)
  expect((await get(`/api/v1/transactions/${body.transaction_id}`)).status).toBe(404)
})

test('labels become risk from the time they are known', async () => {
  const merchant = 'shady'
  for (let n = 0; n < 20; n++) {
    const body = payment({ merchant_id: merchant, timestamp: new Date(Date.now() - 60_000).toISOString() })
    await post(body)
    const response = await label({ transaction_id: body.transaction_id })
    expect(response.status).toBe(201)
  }
  const before = payment({ merchant_id: merchant, timestamp: new Date(Date.now() - 30_000).toISOString() })
  expect(((await (await post(before)).json()) as Decision).features.merchant_risk_score).toBeCloseTo(0.01, 9)
  const after = (await (await post(payment({ merchant_id: merchant }))).json()) as Decision
  expect(after.features.merchant_risk_score).toBeCloseTo(20.2 / 40, 9)
  expect(after.reasons.map((reason) => reason.code)).toContain('RISKY_MERCHANT')
})

test('decisions are listed in pages, each once, newest first', async () => {
  for (let n = 0; n < 5; n++) await post(payment({ user_id: 'pager', merchant_id: `shop-${n % 2}` }))
  const page = async (cursor?: string, filter = 'user_id=pager') => {
    const query = `${filter}&limit=2${cursor ? `&cursor=${cursor}` : ''}`
    const response = await get(`/api/v1/decisions?${query}`)
    return (await response.json()) as { decisions: Decision[]; next_cursor: string | null }
  }
  const seen: Decision[] = []
  let cursor: string | undefined
  do {
    const { decisions, next_cursor } = await page(cursor)
    seen.push(...decisions)
    cursor = next_cursor ?? undefined
  } while (cursor)
  expect(new Set(seen.map((decision) => decision.decision_id)).size).toBe(5)
  expect(seen.map((d) => d.features.user_transaction_count_30d)).toEqual([4, 3, 2, 1, 0])
  expect((await page(undefined, 'user_id=pager&merchant_id=shop-1')).decisions).toHaveLength(2)
  expect((await page(undefined, 'user_id=pager&decision=decline')).decisions).toHaveLength(0)
  const later = encodeURIComponent(new Date(Date.now() + 60_000).toISOString())
  expect((await page(undefined, `user_id=pager&from=${later}`)).decisions).toHaveLength(0)
  expect((await page(undefined, `user_id=pager&to=${later}`)).decisions).toHaveLength(2)
})

test('without its database the service says when to try again, and is not ready', async () => {
  const gone = new URL(database.url('vigil_fraud'))
  gone.port = '1'
  const config = FraudConfig.parse({ ...issuer.config, DATABASE_URL: gone.href, DRAIN_DELAY_MS: 0 })
  const alone = await startFraud(config, createLogger('fraud', 'silent'))
  const response = await fetch(`${alone.url}/api/v1/transactions`, {
    method: 'POST',
    body: JSON.stringify(payment()),
    headers: { 'content-type': 'application/json', authorization: `Bearer ${bearer}` },
  })
  expect(response.status).toBe(503)
  expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0)
  expect((await fetch(`${alone.url}/ready`)).status).toBe(503)
  expect((await fetch(`${alone.url}/health`)).status).toBe(200)
  await alone.stop()
})

test('the served model gives the scores that its training wrote down', async () => {
  const golden = JSON.parse(readFileSync('models/fraud-gbdt/v1/golden.json', 'utf8')) as {
    rows: number[][]
    probabilities: number[]
  }
  const model = await Model.load('models/fraud-gbdt/v1')
  const width = golden.rows[0]!.length
  const data = Float32Array.from(golden.rows.flat())
  const { probabilities } = await model.run({ features: { data, dims: [golden.rows.length, width] } })
  for (const [at, expected] of golden.probabilities.entries()) {
    expect(Math.abs(probabilities!.data[at * 2 + 1]! - expected)).toBeLessThan(1e-5)
  }
  await model.close()
})

test('no identifier of a payment stands in a log line', () => {
  const lines = logLines.join('')
  expect(lines).toContain('"route":"/api/v1/transactions"')
  for (const canary of ['tx-1', 'user-1', 'merchant-1', 'traveller', 'shady', bearer])
    expect(lines).not.toContain(`"${canary}"`)
})
