import { randomBytes } from 'node:crypto'
import { chmodSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { migrate } from '../migrations/run.js'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../scripts/embedded/postgres.js'
import { type Issuer, startIssuer } from './support/issuer.js'
import { isReady, type ServiceProcess, signalFamily, startProcess } from './support/processes.js'

const FRAUD = 'dist/apps/fraud/src/main.js'
const sleep = (ms: number) => new Promise((done) => setTimeout(done, ms))

let folder: string
let postgres: EmbeddedPostgres
let issuer: Issuer
let admin: pg.Client
let bearer: string
let databaseUrl: string
const running: ServiceProcess[] = []

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'vigil-operation-'))
  chmodSync(folder, 0o711)
  ;[postgres, issuer] = await Promise.all([
    startEmbeddedPostgres({ dataDir: folder, port: 0, log: () => undefined }),
    startIssuer(),
  ])
  const password = randomBytes(16).toString('hex')
  const roles = ['vigil_fraud', 'vigil_imaging', 'vigil_compliance', 'vigil_sequencer']
  await migrate(postgres.adminUrl, Object.fromEntries(roles.map((role) => [role, password])))
  const url = new URL(postgres.adminUrl)
  url.username = 'vigil_fraud'
  url.password = password
  databaseUrl = url.href
  admin = new pg.Client({ connectionString: postgres.adminUrl })
  await admin.connect()
  bearer = await issuer.token({ scopes: ['ai:inference', 'data:read'] })
})
afterEach(() => {
  for (const { child } of running.splice(0)) child.kill('SIGKILL')
})
afterAll(async () => {
  await admin?.end()
  await issuer?.stop()
  await postgres?.stop('immediate')
  rmSync(folder, { recursive: true, force: true })
})

async function start(env: Record<string, string> = {}): Promise<ServiceProcess> {
  const service = await startProcess(FRAUD, { ...issuer.config, DATABASE_URL: databaseUrl, ...env })
  running.push(service)
  return service
}

/** What became of a request: the status it got, or none where the connection was refused or lost. */
interface Sent {
  id: string
  status: number | undefined
  retryAfter: string | null
  endedAt: number
}

let counter = 0
async function post(url: string): Promise<Sent> {
  const id = `op-${++counter}`
  const body = JSON.stringify({
    transaction_id: id,
    user_id: `user-${counter % 50}`,
    amount: 12.5,
    merchant_id: 'merchant-1',
    timestamp: new Date().toISOString(),
    location: { latitude: 48.85, longitude: 2.35 },
    payment_method: 'wallet',
  })
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${bearer}` }
  try {
    const response = await fetch(`${url}/api/v1/transactions`, { method: 'POST', body, headers })
    await response.text()
    return {
      id,
      status: response.status,
      retryAfter: response.headers.get('retry-after'),
      endedAt: Date.now(),
    }
  } catch {
    return { id, status: undefined, retryAfter: null, endedAt: Date.now() }
  }
}

/** Posts from several loops until told to stop; what was sent, in no order. */
function load(target: () => string | undefined, loops = 8) {
  const sent: Sent[] = []
  let stopping = false
  const loop = async () => {
    while (!stopping) {
      const url = target()
      if (url) sent.push(await post(url))
      else await sleep(5)
    }
  }
  const ended = Promise.all(Array.from({ length: loops }, loop))
  const stop = async () => {
    stopping = true
    await ended
    return sent
  }
  return { sent, stop }
}

/**
 * Ids whose decision, audit entry and event are not all there exactly once or all absent; that were acknowledged and
 * are absent; or that were decided and cut off.
 */
async function incomplete(sent: readonly Sent[]): Promise<unknown[]> {
  const { rows } = await admin.query(
    `SELECT id, decisions, entries, events FROM (
       SELECT s.id, s.status,
         (SELECT count(*)::int FROM fraud.decision WHERE transaction_id = s.id) AS decisions,
         (SELECT count(*)::int FROM audit.entry WHERE subject_id = s.id) AS entries,
         (SELECT count(*)::int FROM fraud.outbox WHERE payload ->> 'transaction_id' = s.id) AS events
       FROM unnest($1::text[], $2::int[]) s (id, status)) found
     WHERE (decisions, entries, events) NOT IN ((0, 0, 0), (1, 1, 1)) OR status = 200 AND decisions = 0
       OR status IS NULL AND decisions = 1`,
    [sent.map(({ id }) => id), sent.map(({ status }) => status ?? null)],
  )
  return rows
}
const withStatus = (sent: readonly Sent[], status: number | undefined) =>
  sent.filter((one) => one.status === status)

test('SIGTERM under load: not ready first, nothing acknowledged is lost, nothing is cut, exit 0', async () => {
  const service = await start({ DRAIN_DELAY_MS: '400' })
  const work = load(() => service.url)
  await sleep(300)
  service.child.kill('SIGTERM')
  await sleep(100)
  expect(await isReady(service.url)).toBe(false)
  const accepted = work.sent.length
  expect(await service.exited).toBe(0)
  const sent = await work.stop()
  expect(accepted).toBeGreaterThan(0)
  expect(withStatus(sent, 200).length).toBeGreaterThan(10)
  // After the end there is nobody to connect to; what was taken before was answered.
  expect(sent.filter(({ status }) => status !== 200 && status !== undefined)).toEqual([])
  expect(await incomplete(sent)).toEqual([])
})

test('one version takes over from another under load, and no client that follows readiness notices', async () => {
  const first = await start({ DRAIN_DELAY_MS: '600' })
  let ready: string[] = [first.url]
  let next = 0
  const work = load(() => ready[next++ % ready.length])
  await sleep(200)
  const second = await start()
  ready = [first.url, second.url]
  await sleep(200)
  first.child.kill('SIGTERM')
  await expect.poll(() => isReady(first.url), { interval: 20 }).toBe(false)
  ready = [second.url]
  expect(await first.exited).toBe(0)
  await sleep(200)
  const sent = await work.stop()
  expect(sent.filter(({ status }) => status !== 200)).toEqual([])
  expect(await incomplete(sent)).toEqual([])
})

test.skipIf(!existsSync('/proc/self/stat'))(
  'a database that stands still: told to come again, not ready, and well by itself afterwards',
  async () => {
    const service = await start({ FRAUD_DATABASE_TIMEOUT_MS: '500', FRAUD_DATABASE_RECOVER_MS: '300' })
    const work = load(() => service.url, 4)
    await sleep(300)
    signalFamily(postgres.pid, 'SIGSTOP')
    try {
      expect(await isReady(service.url)).toBe(false)
      await sleep(1_000)
    } finally {
      signalFamily(postgres.pid, 'SIGCONT')
    }
    const goneOnAt = Date.now()
    await expect.poll(() => isReady(service.url), { timeout: 10_000 }).toBe(true)
    await expect.poll(async () => (await post(service.url)).status, { timeout: 10_000 }).toBe(200)
    const sent = await work.stop()
    const refused = withStatus(sent, 503)
    expect(refused.length).toBeGreaterThan(0)
    expect(refused.every(({ retryAfter }) => Number(retryAfter) > 0)).toBe(true)
    expect(sent.filter(({ status }) => status !== 200 && status !== 503)).toEqual([])
    expect(refused.some(({ endedAt }) => endedAt < goneOnAt)).toBe(true)
    expect(await incomplete(sent)).toEqual([])
  },
)
