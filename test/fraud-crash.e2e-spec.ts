import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { migrate } from '../migrations/run.js'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../scripts/embedded/postgres.js'
import { type Issuer, startIssuer } from './support/issuer.js'
import { type Replica, startReplica } from './support/replica.js'
import { windowState } from './support/window-state.js'

let folder: string
let postgres: EmbeddedPostgres
let issuer: Issuer
let replicas: Replica[]
let env: Record<string, string>
let bearer: string

const startDatabase = (port = 0) => startEmbeddedPostgres({ dataDir: folder, port, log: () => undefined })

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'vigil-crash-'))
  chmodSync(folder, 0o711)
  postgres = await startDatabase()
  await migrate(postgres.adminUrl, { vigil_fraud: 'crash' })
  issuer = await startIssuer()
  bearer = await issuer.token({ scopes: ['ai:inference', 'data:read'] })
  const url = new URL(postgres.adminUrl)
  url.username = 'vigil_fraud'
  url.password = 'crash'
  env = { ...issuer.config, DATABASE_URL: url.href }
  replicas = await Promise.all([startReplica(env), startReplica(env)])
})
afterAll(async () => {
  await Promise.all((replicas ?? []).map((replica) => replica.kill()))
  await issuer?.stop()
  await postgres?.stop('immediate')
  rmSync(folder, { recursive: true, force: true })
})

const payment = (n: number) => ({
  transaction_id: `tx-${n}`,
  user_id: `user-${n % 40}`,
  amount: (n % 900) + 0.5,
  merchant_id: `merchant-${n % 7}`,
  timestamp: new Date(Date.now() - (n % 50) * 1000).toISOString(),
  location: { latitude: (n % 3) * 10, longitude: 2.35 },
  payment_method: 'card_present',
})

/** Posts payments until it is told to stop, and keeps what was acknowledged. */
class Client {
  readonly acknowledged = new Map<string, string>()
  sent = 0
  private stopped = false
  private readonly workers = Array.from({ length: 24 }, () => this.work())

  private async work(): Promise<void> {
    while (!this.stopped) {
      const body = payment(++this.sent)
      try {
        const { url } = replicas[this.sent % 2]!
        const response = await fetch(`${url}/api/v1/transactions`, {
          method: 'POST',
          body: JSON.stringify(body),
          headers: { 'content-type': 'application/json', authorization: `Bearer ${bearer}` },
        })
        const text = await response.text()
        if (response.ok) this.acknowledged.set(body.transaction_id, text)
        else await sleep(20)
      } catch {
        await sleep(20)
      }
    }
  }

  async stop(): Promise<void> {
    this.stopped = true
    await Promise.all(this.workers)
  }
}

async function crashReplica(at: number): Promise<void> {
  await replicas[at]!.kill()
  replicas[at] = await startReplica(env)
}

async function crashDatabase(): Promise<void> {
  await postgres.stop('immediate')
  postgres = await startDatabase(postgres.port)
}

// Everything that a decision leaves behind, by id: all of it or nothing.
const INCOMPLETE = `
  SELECT i.transaction_id, t.transaction_id, d.transaction_id, o.id, e.entries
  FROM fraud.transaction_id i
    FULL JOIN fraud.transaction t USING (tenant, transaction_id)
    FULL JOIN fraud.decision d USING (tenant, transaction_id)
    LEFT JOIN fraud.outbox o ON o.id = d.decision_id
    LEFT JOIN (SELECT subject_id, count(*) AS entries FROM audit.entry WHERE action = 'TRANSACTION_DECIDED'
      GROUP BY subject_id) e ON e.subject_id = transaction_id
  WHERE i.received_at IS NULL OR t.event_ts IS NULL OR d.decision_id IS NULL OR o.id IS NULL OR e.entries IS DISTINCT FROM 1`

test('kill -9 of replicas and of PostgreSQL: what was acknowledged is there, what was not is whole or absent', async () => {
  const client = new Client()
  for (const crash of [() => crashReplica(0), crashDatabase, () => crashReplica(1), crashDatabase]) {
    await sleep(300 + Math.random() * 700)
    await crash()
  }
  await sleep(500)
  await client.stop()
  const { acknowledged } = client
  expect(acknowledged.size).toBeGreaterThan(100)
  const admin = new pg.Client({ connectionString: postgres.adminUrl })
  await admin.connect()
  expect((await admin.query(INCOMPLETE)).rows).toEqual([])
  const entries = await admin.query(
    `SELECT (SELECT count(*)::int FROM audit.entry WHERE action = 'TRANSACTION_DECIDED') AS entries,
       (SELECT count(*)::int FROM fraud.decision d JOIN audit.entry e ON e.id = d.audit_entry_id) AS pairs,
       (SELECT count(*)::int FROM fraud.decision) AS decisions`,
  )
  expect(new Set(Object.values(entries.rows[0])).size).toBe(1)
  const { stored, recomputed } = await windowState(admin)
  expect(stored).toEqual(recomputed)
  await admin.end()
  const sample = [...acknowledged].filter((_, at) => at % Math.ceil(acknowledged.size / 200) === 0)
  for (const [id, answer] of sample) {
    const response = await fetch(`${replicas[0]!.url}/api/v1/transactions/${id}`, {
      headers: { authorization: `Bearer ${bearer}` },
    })
    expect(((await response.json()) as { decision: object }).decision).toEqual(JSON.parse(answer))
  }
  // Every acknowledged one, not only those read back.
  const ids = [...acknowledged.keys()]
  const reader = new pg.Client({ connectionString: postgres.adminUrl })
  await reader.connect()
  const { rows } = await reader.query(
    'SELECT count(*)::int AS n FROM fraud.decision WHERE transaction_id = ANY($1)',
    [ids],
  )
  await reader.end()
  expect(rows[0].n).toBe(ids.length)
}, 60_000)
