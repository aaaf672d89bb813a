import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { createLogger, type RunningService } from '#libs/platform'
import { ComplianceConfig, startCompliance } from '../apps/compliance/src/start.js'
import { type OpenCounter, postgresCounter, redisCounter } from '../libs/auth/src/limits/counters.js'
import { blockOf, LeasedLimiter } from '../libs/auth/src/limits/lease.js'
import { createTestDatabase, type TestDatabase } from './support/database.js'
import { type Issuer, startIssuer } from './support/issuer.js'
import { hasRedis, startRedis, type TestRedis } from './support/redis.js'

const LIMITS = { default: 40, anonymous: 30, token: 5 }

let database: TestDatabase
let issuer: Issuer
let admin: pg.Client
let dataDir: string
let redis: TestRedis | undefined
beforeAll(async () => {
  database = await createTestDatabase()
  issuer = await startIssuer()
  admin = new pg.Client({ connectionString: database.adminUrl })
  await admin.connect()
  dataDir = mkdtempSync(join(tmpdir(), 'vigil-limits-'))
  redis = hasRedis ? await startRedis() : undefined
  if (!redis) console.warn('skipped: redis-server is not installed')
})
afterAll(async () => {
  await redis?.kill()
  await admin.end()
  await issuer.stop()
  await database.drop()
  rmSync(dataDir, { recursive: true, force: true })
})

async function serve(settings: Record<string, string> = {}): Promise<RunningService> {
  const config = ComplianceConfig.parse({
    DATABASE_URL: database.url('vigil_compliance'),
    DATA_DIR: dataDir,
    DRAIN_DELAY_MS: '0',
    RATE_LIMITS: JSON.stringify(LIMITS),
    ...issuer.config,
    ...settings,
  })
  const service = await startCompliance(config, createLogger('compliance', 'silent'))
  onTestFinished(() => service.stop())
  return service
}

interface Answer {
  status: number
  headers: Headers
  json: Record<string, unknown>
}
const read = async (response: Response): Promise<Answer> => {
  const text = await response.text()
  const isJson = /json/.test(response.headers.get('content-type') ?? '')
  return { status: response.status, headers: response.headers, json: isJson ? JSON.parse(text) : {} }
}
const flood = (count: number, send: (at: number) => Promise<Response>) =>
  Promise.all(Array.from({ length: count }, (_, at) => send(at).then(read)))
const statuses = (answers: Answer[]) =>
  Object.fromEntries(
    [...new Set(answers.map(({ status }) => status))].map((status) => [
      status,
      answers.filter((answer) => answer.status === status).length,
    ]),
  )
const bearer = async (clientId: string, scopes = ['audit:read']) => ({
  authorization: `Bearer ${await issuer.token({ scopes, clientId })}`,
})
const MISSING = '/api/v1/audit/entries/01890a5d-ac96-774b-bcce-b302099a8057'
const metric = async (service: RunningService, name: string) =>
  new RegExp(`^${name}\\{[^}]*\\} (\\S+)$`, 'm').exec(
    await (await fetch(`${service.url}/metrics`)).text(),
  )?.[1]

describe.each([
  ['PostgreSQL', (): OpenCounter => postgresCounter(database.url('vigil_fraud'))],
  ['Redis', (): OpenCounter => redisCounter(redis!.url)],
])('replicas on %s', (store, open) => {
  test.skipIf(store === 'Redis' && !hasRedis)('share a budget and never overspend it', async () => {
    const counters = Array.from({ length: 4 }, open)
    onTestFinished(async () => void (await Promise.all(counters.map((counter) => counter.close()))))
    const limiters = counters.map((counter) => new LeasedLimiter(counter))
    const limit = 2_000
    const verdicts = await Promise.all(
      Array.from({ length: 4_000 }, async (_, at) => {
        await new Promise((resolve) => setTimeout(resolve, (at % 97) * 3))
        return limiters[at % 4]!.spend('crowd', limit)
      }),
    )
    const allowed = verdicts.filter((verdict) => verdict.allowed).length
    expect(allowed).toBeLessThanOrEqual(limit)
    expect(allowed).toBeGreaterThanOrEqual(limit - 3 * 1.5 * blockOf(limit))
  })
})

describe('a flood', () => {
  test('of one client is answered up to its budget, then told when to come back; others are served', async () => {
    const service = await serve()
    const headers = await bearer('flood')
    const answers = await flood(100, () => fetch(`${service.url}${MISSING}`, { headers }))
    expect(statuses(answers)).toEqual({ 404: LIMITS.default, 429: 100 - LIMITS.default })
    const refused = answers.find(({ status }) => status === 429)!
    expect(refused.headers.get('content-type')).toMatch(/^application\/problem\+json/)
    expect(refused.json).toMatchObject({ type: 'urn:vigil:problem:too-many-requests' })
    const seconds = Number(refused.headers.get('retry-after'))
    expect(seconds).toBeGreaterThan(0)
    expect(seconds).toBeLessThanOrEqual(60)
    expect(refused.headers.get('ratelimit-policy')).toBe('"default";q=40;w=60')
    expect(refused.headers.get('ratelimit')).toBe(`"default";r=0;t=${seconds}`)
    const served = answers.filter(({ status }) => status === 404)
    expect(served[0]!.headers.get('ratelimit')).toMatch(/^"default";r=\d+;t=\d+$/)
    const other = await fetch(`${service.url}${MISSING}`, { headers: await bearer('calm') })
    expect(other.status).toBe(404)
    expect(await metric(service, 'rate_limit_refusals_total')).toBe('60')
  })

  test('by a client with a budget of its own has that one', async () => {
    await admin.query(`INSERT INTO access.client_limit VALUES ('default', 'big', 'default', 70)`)
    const service = await serve()
    const headers = await bearer('big')
    await expect
      .poll(async () =>
        (await fetch(`${service.url}${MISSING}`, { headers })).headers.get('ratelimit-policy'),
      )
      .toBe('"default";q=70;w=60')
  })

  test('over two replicas has one budget', async () => {
    const [one, two] = [await serve(), await serve()]
    const headers = await bearer('two-doors')
    const answers = await flood(120, (at) => fetch(`${(at % 2 ? one : two).url}${MISSING}`, { headers }))
    expect(statuses(answers)[404]).toBeLessThanOrEqual(LIMITS.default)
    expect(statuses(answers)[404]).toBeGreaterThanOrEqual(LIMITS.default - 2)
  })

  test('without a token is counted by address, and X-Forwarded-For makes no new one', async () => {
    const service = await serve()
    const answers = await flood(80, (at) =>
      fetch(`${service.url}${at % 2 ? MISSING : '/log/keys'}`, {
        headers: { 'x-forwarded-for': `198.51.100.${at}`, forwarded: `for=198.51.100.${at}` },
      }),
    )
    expect(statuses(answers)[429]).toBe(80 - LIMITS.anonymous)
  })

  test('behind one proxy is counted by the address that the proxy saw, not by what the client wrote', async () => {
    const service = await serve({ TRUST_PROXY_HOPS: '1' })
    const knock = (forwarded: string) =>
      fetch(`${service.url}/log/keys`, { headers: { 'x-forwarded-for': forwarded } })
    const spoofed = await flood(50, (at) => knock(`198.51.100.${at}, 203.0.113.9`))
    expect(statuses(spoofed)[429]).toBe(50 - LIMITS.anonymous)
    expect((await knock('203.0.113.10')).status).toBe(200)
  })

  test('of wrong tokens and of missing scopes is limited, too, and leaves a bounded number of entries', async () => {
    const service = await serve()
    const forged = { authorization: 'Bearer nonsense' }
    const answers = await flood(50, () => fetch(`${service.url}${MISSING}`, { headers: forged }))
    expect(statuses(answers)).toEqual({ 401: LIMITS.anonymous, 429: 50 - LIMITS.anonymous })
    const headers = await bearer('curious', ['data:read'])
    const denied = await flood(100, () => fetch(`${service.url}${MISSING}`, { headers }))
    expect(statuses(denied)).toEqual({ 403: LIMITS.default, 429: 100 - LIMITS.default })
    const { rows } = await admin.query(
      `SELECT convert_from(body, 'UTF8')::jsonb -> 'entry' AS entry FROM audit.entry WHERE actor_id = 'curious'`,
    )
    expect(rows).toHaveLength(LIMITS.default)
    expect(rows[0].entry).toMatchObject({
      action: 'ACCESS_DENIED',
      outcome: 'denied',
      details: { method: 'GET', route: '/api/v1/audit/entries/:id', missing_scope: 'audit:read' },
    })
  })

  test('of token requests has a small budget for each address', async () => {
    const service = await serve()
    const body = () =>
      new URLSearchParams({ grant_type: 'client_credentials', client_id: 'x', client_secret: 'y' })
    const answers = await flood(20, (at) =>
      fetch(`${service.url}/auth/token`, {
        method: 'POST',
        body: body(),
        headers: { 'x-forwarded-for': `10.0.0.${at}` },
      }),
    )
    expect(statuses(answers)).toEqual({ 401: LIMITS.token, 429: 20 - LIMITS.token })
    expect(answers.find(({ status }) => status === 429)?.headers.get('retry-after')).toMatch(/^\d+$/)
  })
})

describe('while the store of budgets is away', () => {
  const knockWhileAway = async (service: RunningService) => {
    const headers = await bearer('steadfast')
    const answers = await flood(100, () => fetch(`${service.url}${MISSING}`, { headers }))
    expect(statuses(answers)).toEqual({ 404: LIMITS.default, 429: 100 - LIMITS.default })
    expect(await metric(service, 'rate_limit_store_up')).toBe('0')
    const token = await fetch(`${service.url}/auth/token`, { method: 'POST', body: new URLSearchParams() })
    expect(token.status).toBe(503)
    expect(token.headers.get('retry-after')).toBe('2')
    expect(token.headers.get('content-type')).toMatch(/^application\/problem\+json/)
  }

  test.skipIf(!hasRedis)(
    'a killed Redis: clients go on by a local budget, no token is given, and it heals',
    async () => {
      const service = await serve({ REDIS_URL: redis!.url })
      const before = await fetch(`${service.url}${MISSING}`, { headers: await bearer('before') })
      expect([before.status, await metric(service, 'rate_limit_store_up')]).toEqual([404, '1'])
      await redis!.kill()
      await knockWhileAway(service)
      await redis!.start()
      await expect
        .poll(
          async () => {
            await fetch(`${service.url}/auth/token`, { method: 'POST', body: new URLSearchParams() })
            return metric(service, 'rate_limit_store_up')
          },
          { timeout: 8_000, interval: 200 },
        )
        .toBe('1')
    },
  )

  test('a PostgreSQL table that cannot be written: the same', async () => {
    const service = await serve()
    await admin.query('REVOKE INSERT, UPDATE ON access.rate FROM vigil_app')
    try {
      await knockWhileAway(service)
    } finally {
      await admin.query('GRANT INSERT, UPDATE ON access.rate TO vigil_app')
    }
  })
})
