import { createHash } from 'node:crypto'
import canonicalize from 'canonicalize'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type AuditEntry, appendAllAudit, appendAudit } from '#libs/audit'
import { newId } from '#libs/platform'
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
  test('many at once writes what as many single ones write, and refuses what they refuse', async () => {
    const app = await as('vigil_fraud')
    const admin = await connect(database.adminUrl)
    const patient: AuditEntry = { ...entry, patientRef: 'blind', purposeOfUse: 'TREAT', subject: undefined }
    const ids = [newId(), newId(), newId(), newId()]
    await appendAudit(app, { ...entry, id: ids[0] })
    await appendAudit(app, { ...patient, id: ids[1] })
    await appendAllAudit(app, [
      { ...entry, id: ids[2] },
      { ...patient, id: ids[3] },
    ])
    const rowOf = async (id: string) => {
      const { rows } = await admin.query(
        `SELECT e.*, convert_from(body, 'UTF8') AS body, recorded_at = p.recorded_at AND e.leaf_hash = p.leaf_hash AS waits
         FROM audit.entry e JOIN audit.pending p USING (recorded_at) WHERE e.id = $1 AND p.entry_id = $1`,
        [id],
      )
      const { id: _, recorded_at, leaf_hash, ...row } = rows[0]
      const hash = createHash('sha256')
        .update(Buffer.concat([Buffer.from([0]), Buffer.from(row.body)]))
        .digest()
      expect(leaf_hash).toEqual(hash)
      expect(JSON.parse(row.body).recorded_at.slice(0, 23)).toBe(recorded_at.toISOString().slice(0, 23))
      return { ...row, body: row.body.replace(id, 'id').replace(/"recorded_at":"[^"]+"/, '') }
    }
    expect(await rowOf(ids[2]!)).toEqual(await rowOf(ids[0]!))
    expect(await rowOf(ids[3]!)).toEqual(await rowOf(ids[1]!))
    const all = (given: (string | null)[], bodies: string[]) =>
      app.query('SELECT audit.append_all($1::uuid[], $2::text[])', [given, bodies])
    const body = (id: string) => JSON.stringify({ id })
    await expect(all([newId()], [body(newId())])).rejects.toThrow(/another id/)
    await expect(all([null], [body(newId())])).rejects.toThrow(/another id/)
    await expect(all([ids[0]!, newId()], [body(ids[0]!)])).rejects.toThrow()
    const twice = newId()
    await expect(all([twice, twice], [body(twice), body(twice)])).rejects.toThrow(/of this id/)
    await expect(appendAllAudit(app, [entry, { ...entry, action: 'lower case' }])).rejects.toThrow()
  })

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

test('no service reads the log but the one that is asked for it', async () => {
  await expect((await as('vigil_fraud')).query('SELECT * FROM audit.entry')).rejects.toThrow(
    /permission denied/,
  )
  await expect(
    (await as('vigil_compliance')).query('SELECT count(*) FROM audit.entry'),
  ).resolves.toBeDefined()
})
