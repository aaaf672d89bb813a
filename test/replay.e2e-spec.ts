import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createLogger, type RunningService } from '#libs/platform'
import type { Replay } from '../apps/fraud/src/replay/replay.js'
import { FraudConfig, startFraud } from '../apps/fraud/src/start.js'
import type { Decision } from '../apps/fraud/src/transactions/answer.js'
import { createTestDatabase, type TestDatabase } from './support/database.js'
import { type Issuer, startIssuer } from './support/issuer.js'

let database: TestDatabase
let issuer: Issuer
let service: RunningService
let admin: pg.Client
let bearer: string
let decisions: Decision[]

const PLACES = [
  { latitude: 48.85, longitude: 2.35 },
  { latitude: 35.68, longitude: 139.69 },
]

async function decide(n: number): Promise<Decision> {
  const response = await fetch(`${service.url}/api/v1/transactions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${bearer}` },
    body: JSON.stringify({
      transaction_id: `r-${n}`,
      user_id: `user-${n % 7}`,
      amount: Math.round((n * 7919.37) % 90_000) / 100,
      merchant_id: `merchant-${n % 5}`,
      timestamp: new Date(Date.now() - 5_000 * (80 - n)).toISOString(),
      location: PLACES[n % 11 === 0 ? 1 : 0],
      payment_method: n % 3 ? 'card_not_present' : 'wallet',
    }),
  })
  return (await response.json()) as Decision
}
const get = (id: string, token = bearer) =>
  fetch(`${service.url}/api/v1/transactions/${id}/replay`, { headers: { authorization: `Bearer ${token}` } })
const replayOf = async (id: string) => (await (await get(id)).json()) as Replay

beforeAll(async () => {
  ;[database, issuer] = await Promise.all([createTestDatabase(), startIssuer()])
  bearer = await issuer.token({ scopes: ['ai:inference', 'data:read'] })
  admin = new pg.Client({ connectionString: database.adminUrl })
  await admin.connect()
  const config = FraudConfig.parse({
    ...issuer.config,
    DATABASE_URL: database.url('vigil_fraud'),
    DRAIN_DELAY_MS: 0,
  })
  service = await startFraud(config, createLogger('fraud', 'silent'))
  decisions = await Promise.all(Array.from({ length: 80 }, (_, n) => decide(n)))
})
afterAll(async () => {
  await service?.stop()
  await issuer?.stop()
  await admin?.end()
  await database?.drop()
})

test('every decision, made in batches of any size, is made again alone to the last bit', async () => {
  const replays = await Promise.all(decisions.map(({ transaction_id }) => replayOf(transaction_id)))
  for (const [at, replay] of replays.entries()) {
    const { decision, risk_score, reasons, features } = decisions[at]!
    expect(replay).toMatchObject({ bit_equal: true, differences: [], obstacle: null })
    expect(replay.recomputed).toMatchObject({ decision, risk_score, reasons })
    expect(replay.stored.features).toEqual(features)
  }
  // The proof is of some worth only where decisions differ and some have reasons.
  expect(new Set(decisions.map(({ risk_score }) => risk_score)).size).toBeGreaterThan(20)
  expect(decisions.some(({ reasons }) => reasons.length > 0)).toBe(true)
})

test('a replay is recorded with who asked', async () => {
  const { decision_id } = await replayOf('r-1')
  const { rows } = await admin.query(
    `SELECT actor_id, convert_from(body, 'UTF8')::jsonb #> '{entry,details}' AS details FROM audit.entry
     WHERE action = 'DECISION_REPLAYED' AND subject_id = 'r-1' ORDER BY recorded_at DESC LIMIT 1`,
  )
  expect(rows).toEqual([{ actor_id: 'payments', details: { decision_id, bit_equal: true } }])
})

test.each([
  [
    'r-2',
    'model_version = \'v9\', response = replace(response, \'"version":"v1"\', \'"version":"v9"\')',
    'model-gone',
  ],
  ['r-3', `model_digest = repeat('0', 64)`, 'model-altered'],
  [
    'r-4',
    'policy_version = \'policy-0\', response = replace(response, \'"policy_version":"policy-1"\', \'"policy_version":"policy-0"\')',
    'policy-gone',
  ],
])('%s cannot be made again, and it says why: %s', async (id, change, code) => {
  await admin.query(`UPDATE fraud.decision SET ${change} WHERE transaction_id = $1`, [id])
  const replay = await replayOf(id)
  expect(replay).toMatchObject({ bit_equal: null, recomputed: null, obstacle: { code } })
  expect(replay.obstacle!.detail.length).toBeGreaterThan(20)
})

test('a snapshot that is not what was decided on does not pass', async () => {
  const changed = [...decisions].sort((a, b) => b.risk_score - a.risk_score)[0]!
  await admin.query(
    `UPDATE fraud.decision SET features = float8send(0.01) || substring(features FROM 9) WHERE transaction_id = $1`,
    [changed.transaction_id],
  )
  const replay = await replayOf(changed.transaction_id)
  expect(replay.bit_equal).toBe(false)
  expect(replay.differences).toContain('/risk_score_bits')
})

test('another tenant learns nothing, and the scope is asked for', async () => {
  const stranger = await issuer.token({ scopes: ['data:read'], tenant: 'elsewhere' })
  const bodies = await Promise.all(
    ['r-1', 'not-there', 'a%00b'].map(async (id) => {
      const response = await get(id, stranger)
      expect(response.status).toBe(404)
      return { ...((await response.json()) as object), instance: '' }
    }),
  )
  expect(bodies[0]).toEqual(bodies[1])
  expect(bodies[2]).toEqual(bodies[1])
  expect((await get('r-1', await issuer.token({ scopes: ['ai:inference'] }))).status).toBe(403)
})
