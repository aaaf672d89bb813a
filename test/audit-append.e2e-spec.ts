import { createHash } from 'node:crypto'
import canonicalize from 'canonicalize'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type AuditEntry, appendAudit } from '#libs/audit'
import { createTestDatabase, type Role, type TestDatabase } from './support/database.js'

let database: TestDatabase
const clients: pg.Client[] = []

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  clients.push(client)
  return client
}
const as = (role: Role) => connect(database.url(role))

const entry: AuditEntry = {
  tenant: 'default',
  service: 'fraud',
  actor: { type: 'client', id: 'payments' },
  action: 'TRANSACTION_DECIDED',
  outcome: 'success',
  subject: { type: 'transaction', id: 'tx-1' },
  correlationId: '01890a5d-ac96-774b-bcce-b302099a8057',
  details: { score: 0.25, note: 'é\u2028', nested: { b: 1, a: [true, null] } },
}

beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(async () => {
  await Promise.all(clients.map((client) => client.end()))
  await database.drop()
})

describe('appending', () => {
  test('stores exactly the canonical bytes that are hashed, with the time of the database', async () => {
    const app = await as('vigil_fraud')
    const id = await appendAudit(app, entry)
    const admin = await connect(database.adminUrl)
    const { rows } = await admin.query('SELECT * FROM audit.entry WHERE id = $1', [id])
    const [row] = rows
    const body = JSON.parse(row.body.toString('utf8'))
    expect(canonicalize(body)).toBe(row.body.toString('utf8'))
    expect(body.entry).toMatchObject({ id, action: 'TRANSACTION_DECIDED', details: entry.details })
    expect(new Date(body.recorded_at).getTime()).toBe(row.recorded_at.getTime())
    expect(Math.abs(Date.now() - row.recorded_at.getTime())).toBeLessThan(60_000)
    const hash = createHash('sha256')
      .update(Buffer.from([0]))
      .update(row.body)
      .digest()
    expect(row.leaf_hash).toEqual(hash)
    expect(row).toMatchObject({
      actor_id: 'payments',
      subject_id: 'tx-1',
      patient_ref: null,
      outcome: 'success',
    })
  })

  test('disappears with the transaction that it belongs to', async () => {
    const app = await as('vigil_fraud')
    await app.query('BEGIN')
    const id = await appendAudit(app, entry)
    await app.query('ROLLBACK')
    const admin = await connect(database.adminUrl)
    expect((await admin.query('SELECT FROM audit.entry WHERE id = $1', [id])).rowCount).toBe(0)
    expect((await admin.query('SELECT FROM audit.pending WHERE entry_id = $1', [id])).rowCount).toBe(0)
  })

  test('refuses what no bundle could hold, an id that differs, and a body that is no entry', async () => {
    const app = await as('vigil_fraud')
    const big = Object.fromEntries(Array.from({ length: 70 }, (_, at) => [`k${at}`, 'x'.repeat(1000)]))
    await expect(appendAudit(app, { ...entry, details: big })).rejects.toThrow(/check constraint/)
    await expect(app.query('SELECT audit.append(gen_random_uuid(), $1)', ['{"id":null}'])).rejects.toThrow()
    await expect(app.query('SELECT audit.append(gen_random_uuid(), $1)', ['no json'])).rejects.toThrow()
    await expect(appendAudit(app, { ...entry, action: 'lower case' })).rejects.toThrow()
  })
})

describe.each(['vigil_fraud', 'vigil_imaging', 'vigil_compliance', 'vigil_sequencer'] as const)(
  '%s',
  (role) => {
    test.each([
      'UPDATE audit.entry SET tenant = tenant',
      'DELETE FROM audit.entry',
      'TRUNCATE audit.entry',
      'TRUNCATE audit.entry_default',
      'DELETE FROM audit.entry_default',
      'TRUNCATE audit.leaf',
      'UPDATE audit.leaf SET log_index = log_index + 1',
      'ALTER TABLE audit.entry DISABLE TRIGGER ALL',
      'ALTER TABLE audit.entry_default DISABLE TRIGGER ALL',
      'DROP TABLE audit.entry',
      'SET session_replication_role = replica',
      'SET ROLE vigil_owner',
      `INSERT INTO audit.entry (id, recorded_at, tenant, service, actor_type, actor_id, action, outcome, correlation_id, body)
     VALUES (gen_random_uuid(), '2020-01-01', 'd', 's', 'c', 'a', 'X', 'success', gen_random_uuid(), 'x')`,
    ])('may not: %s', async (sql) => {
      const client = await as(role)
      await expect(client.query(sql)).rejects.toThrow(/permission denied|must be owner/)
    })
  },
)

test('every monthly partition refuses the same, even to the owner', async () => {
  const admin = await connect(database.adminUrl)
  await appendAudit(admin, entry)
  const { rows } = await admin.query<{ name: string }>(
    `SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'audit.entry'::regclass`,
  )
  expect(rows.length).toBeGreaterThanOrEqual(5)
  for (const { name } of [{ name: 'audit.entry' }, ...rows]) {
    await expect(admin.query(`TRUNCATE ${name}`), name).rejects.toThrow(/append-only/)
  }
  await expect(admin.query('DELETE FROM audit.entry')).rejects.toThrow(/append-only/)
  await expect(admin.query(`UPDATE audit.entry SET outcome = 'denied'`)).rejects.toThrow(/append-only/)
})

test('no service reads the log but the one that is asked for it', async () => {
  await expect((await as('vigil_fraud')).query('SELECT * FROM audit.entry')).rejects.toThrow(
    /permission denied/,
  )
  await expect(
    (await as('vigil_compliance')).query('SELECT count(*) FROM audit.entry'),
  ).resolves.toBeDefined()
})
