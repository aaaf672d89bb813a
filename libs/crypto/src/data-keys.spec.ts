import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { newId } from '#libs/platform'
import { createTestDatabase, type TestDatabase } from '../../../test/support/database.js'
import { type BlindIndex, openBlindIndex } from './blind-index.js'
import { dataKeyFor, existingDataKey, KeyDestroyedError, purposeKey } from './data-keys.js'
import { type DataKey, openField, sealField } from './field.js'
import { KeyCache } from './key-cache.js'
import { LocalKeyring } from './keyring.js'
import { subjectRef } from './subject-ref.js'
import { NotAuthenticError } from './xaes.js'

let database: TestDatabase
let admin: pg.Client
let imaging: pg.Client
let another: pg.Client
const keys = new KeyCache(
  LocalKeyring.open(join(mkdtempSync(join(tmpdir(), 'vigil-data-keys-')), 'keyring.json')),
)

const connect = async (connectionString: string) => {
  const client = new pg.Client({ connectionString })
  await client.connect()
  return client
}
beforeAll(async () => {
  database = await createTestDatabase()
  admin = await connect(database.adminUrl)
  imaging = await connect(database.url('vigil_imaging'))
  another = await connect(database.url('vigil_imaging'))
})
afterAll(async () => {
  await Promise.all([admin?.end(), imaging?.end(), another?.end()])
  await database?.drop()
})

const untilSomebodyWaits = () =>
  expect
    .poll(
      async () =>
        (
          await admin.query(
            `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
          )
        ).rowCount,
    )
    .toBe(1)

/** A request of one person, and the agreement of another, as the tables hold them. */
async function ask(subject: string, tenant = 'default'): Promise<string> {
  const id = newId()
  await admin.query(
    `INSERT INTO approvals.request (id, tenant, kind, subject, reason, requested_issuer, requested_subject,
       requested_client, expires_at)
     VALUES ($1, $2, 'patient.erasure', $3, '\\x00', 'i', 'alice', 'c', now() + interval '1 hour')`,
    [id, tenant, subject],
  )
  return id
}
const agree = (id: string) =>
  admin.query(
    `UPDATE approvals.request SET decision = 'approved', decided_issuer = 'i', decided_subject = 'bob',
       decided_client = 'c', decided_at = now() WHERE id = $1`,
    [id],
  )

async function destroy(tenant: string, subject: string): Promise<number> {
  const id = await ask(subject, tenant)
  await agree(id)
  const compliance = await connect(database.url('vigil_compliance'))
  const { rows } = await compliance.query('SELECT data_keys FROM keys.destroy_subject($1, $2, $3)', [
    tenant,
    subject,
    id,
  ])
  await compliance.end()
  return Number(rows[0].data_keys)
}

const patient = (subject: string, tenant = 'default') => ({ tenant, purpose: 'imaging', subject })

test('a scope keeps its key; another tenant, purpose or subject has another', async () => {
  const first = await dataKeyFor(imaging, keys, patient('1:a'))
  const scopes = [patient('1:b'), patient('1:a', 'other'), { ...patient('1:a'), purpose: 'imaging.notes' }]
  const others: DataKey[] = []
  for (const scope of scopes) others.push(await dataKeyFor(imaging, keys, scope))
  expect(await existingDataKey(another, keys, patient('1:a'))).toEqual(first)
  expect(await dataKeyFor(another, keys, patient('1:a'))).toEqual(first)
  expect(new Set([first, ...others].map(({ key }) => Buffer.from(key).toString('hex'))).size).toBe(4)
})

test('two who make the key of a scope at once end with one; one rolled back leaves none behind', async () => {
  await imaging.query('BEGIN')
  const lost = await dataKeyFor(imaging, keys, patient('1:race'))
  const waiting = dataKeyFor(another, keys, patient('1:race'))
  await untilSomebodyWaits()
  await imaging.query('ROLLBACK')
  const kept = await waiting
  expect(kept.id).not.toBe(lost.id)
  await imaging.query('BEGIN')
  const made = await dataKeyFor(imaging, keys, patient('1:second race'))
  const other = dataKeyFor(another, keys, patient('1:second race'))
  await untilSomebodyWaits()
  await imaging.query('COMMIT')
  expect(await other).toEqual(made)
})

test('a wrapped key that was moved to another row does not open', async () => {
  await dataKeyFor(imaging, keys, patient('1:from'))
  await dataKeyFor(imaging, keys, patient('1:to'))
  await admin.query(
    `UPDATE keys.data_key SET wrapped = (SELECT wrapped FROM keys.data_key WHERE subject = '1:from')
     WHERE subject = '1:to'`,
  )
  await expect(existingDataKey(imaging, keys, patient('1:to'))).rejects.toThrow(NotAuthenticError)
})

test('an erased subject is unreadable at once, in every process, for every purpose, and stays so', async () => {
  const place = { tenant: 'default', table: 'imaging.association', column: 'identity', row: 'r' }
  const scopes = [patient('1:erased'), { ...patient('1:erased'), purpose: 'imaging.notes' }]
  for (const scope of scopes) {
    const key = await dataKeyFor(imaging, keys, scope)
    const sealed = sealField(key, place, Buffer.from('DOE^JANE'))
    expect(openField(await existingDataKey(imaging, keys, scope), place, sealed).toString()).toBe('DOE^JANE')
  }
  expect(await destroy('other', '1:erased')).toBe(0)
  expect(await destroy('default', '1:erased')).toBe(2)
  expect(await destroy('default', '1:erased')).toBe(0)
  for (const scope of scopes) {
    await expect(existingDataKey(another, keys, scope)).rejects.toThrow(KeyDestroyedError)
    await expect(dataKeyFor(imaging, keys, scope)).rejects.toThrow(KeyDestroyedError)
  }
})

test('an erasure waits for who seals under the key, and nobody seals while it is under way', async () => {
  await dataKeyFor(imaging, keys, patient('1:busy'))
  await imaging.query('BEGIN')
  await dataKeyFor(imaging, keys, patient('1:busy'))
  const erasing = destroy('default', '1:busy')
  await untilSomebodyWaits()
  const late = expect(dataKeyFor(another, keys, patient('1:busy'))).rejects.toThrow(KeyDestroyedError)
  await imaging.query('COMMIT')
  expect(await erasing).toBe(1)
  await late
})

test('a purpose of a tenant has one key, whoever asks', async () => {
  const [one, two] = [
    await purposeKey(imaging, keys, { tenant: 'default', purpose: 'imaging.letters' }),
    await purposeKey(another, keys, { tenant: 'default', purpose: 'imaging.letters' }),
  ]
  expect(one).toEqual(two)
  const other = await purposeKey(imaging, keys, { tenant: 'other', purpose: 'imaging.letters' })
  expect(other.id).not.toBe(one.id)
})

test('nothing is destroyed without the approval of a second person, nor twice with one, nor under a hold', async () => {
  await dataKeyFor(imaging, keys, patient('1:kept'))
  const compliance = await connect(database.url('vigil_compliance'))
  const destroyWith = (approval: string, subject = '1:kept', tenant = 'default') =>
    compliance.query('SELECT keys.destroy_subject($1, $2, $3)', [tenant, subject, approval])
  await expect(destroyWith(newId())).rejects.toThrow(/approval/)
  const pending = await ask('1:kept')
  await expect(destroyWith(pending)).rejects.toThrow(/approval/)
  await agree(pending)
  await expect(destroyWith(pending, '1:a')).rejects.toThrow(/approval/)
  await expect(destroyWith(pending, '1:kept', 'other')).rejects.toThrow(/approval/)
  await admin.query(
    `INSERT INTO holds.hold (id, tenant, scope, patient_ref, reason, placed_issuer, placed_subject, placed_client)
     VALUES ($1, 'default', 'patient', '1:kept', '\\x00', 'i', 's', 'c')`,
    [newId()],
  )
  await expect(destroyWith(pending)).rejects.toMatchObject({ code: 'VG409' })
  expect(await existingDataKey(imaging, keys, patient('1:kept'))).toBeDefined()
  await admin.query('DELETE FROM holds.hold')
  await destroyWith(pending)
  await expect(destroyWith(pending)).rejects.toThrow(/approval/)
  await compliance.end()
})

test('a service can make and read keys, and neither change nor remove one; others see none', async () => {
  for (const sql of [
    'UPDATE keys.data_key SET wrapped = NULL, destroyed_at = now()',
    'DELETE FROM keys.data_key',
    'TRUNCATE keys.data_key',
  ])
    await expect(imaging.query(sql)).rejects.toThrow(/permission denied/)
  const other = await connect(database.url('vigil_sequencer'))
  await expect(other.query('SELECT FROM keys.data_key')).rejects.toThrow(/permission denied/)
  await other.end()
})

test('a service sees the keys of its own purposes alone', async () => {
  await dataKeyFor(imaging, keys, patient('1:own'))
  for (const [role, purpose] of [
    ['vigil_fraud', 'fraud.metadata'],
    ['vigil_compliance', 'reasons'],
  ] as const) {
    const client = await connect(database.url(role))
    await purposeKey(client, keys, { tenant: 'default', purpose })
    const { rows } = await client.query('SELECT DISTINCT purpose FROM keys.data_key')
    expect(rows).toEqual([{ purpose }])
    await expect(dataKeyFor(client, keys, patient('1:stolen'))).rejects.toThrow(/row-level security/)
    await client.end()
  }
})

test('who turns keys over exchanges wrapped for wrapped of the same row, and can do nothing else', async () => {
  const turner = await connect(database.url('vigil_keys'))
  const key = await dataKeyFor(imaging, keys, patient('1:turned'))
  const { rows } = await turner.query(
    `SELECT * FROM keys.wrapped_keys('data-key', NULL, 1000) WHERE id = $1`,
    [key.id],
  )
  expect(rows[0].context).toEqual(['data-key', key.id, 'default', 'imaging', '1:turned'])
  const swap = (old: Buffer | null, next: Buffer | null) =>
    turner.query(`SELECT keys.swap_wrapped('data-key', $1, $2, $3) AS done`, [key.id, old, next])
  expect((await swap(Buffer.alloc(60), Buffer.alloc(60))).rows).toEqual([{ done: false }])
  for (const next of [null, Buffer.alloc(0), Buffer.alloc(31)])
    await expect(swap(rows[0].wrapped, next)).rejects.toThrow(/no wrapped key/)
  await destroy('default', '1:turned')
  expect((await swap(rows[0].wrapped, Buffer.alloc(60))).rows).toEqual([{ done: false }])
  for (const sql of [
    'SELECT FROM keys.data_key',
    'UPDATE keys.data_key SET wrapped = wrapped',
    'SELECT FROM imaging.blob',
    'SELECT FROM identity.signing_key',
    `SELECT keys.destroy_subject('default', '1:turned', gen_random_uuid())`,
    'DELETE FROM keys.rotation',
  ])
    await expect(turner.query(sql)).rejects.toThrow(/permission denied/)
  await turner.end()
})

describe('while an index turns over', () => {
  const derive = (purpose: string) => Buffer.from(purpose.padEnd(32, '.'))
  const [old, both, turned, next] = [[1], [1, 2], [2, 1], [2]].map((versions) =>
    openBlindIndex(derive, versions),
  )
  const indexed = (value: string, tenant = 'default') => ({ column: 'patient', tenant, value })
  const refOf = (index: BlindIndex, value: string, tenant?: string) =>
    subjectRef(imaging, index, indexed(value, tenant))

  test('who was known keeps the hash, who is new gets the new one, and all are found by all who read both', async () => {
    const known = await refOf(old!, 'MRN-OLD')
    expect(known).toMatch(/^1:/)
    await dataKeyFor(imaging, keys, patient(known))
    expect([await refOf(both!, 'MRN-OLD'), await refOf(turned!, 'MRN-OLD')]).toEqual([known, known])
    const fresh = await refOf(turned!, 'MRN-NEW')
    expect(fresh).toMatch(/^2:/)
    await dataKeyFor(imaging, keys, patient(fresh))
    expect([await refOf(both!, 'MRN-NEW'), await refOf(next!, 'MRN-NEW')]).toEqual([fresh, fresh])
    expect(await refOf(turned!, 'MRN-OLD', 'other')).toMatch(/^2:/)
    expect(await refOf(next!, 'MRN-OLD')).not.toBe(known)
  })

  test('a legal hold or an entry of the trail is enough to be known by', async () => {
    const held = await refOf(old!, 'MRN-HELD')
    await admin.query(
      `INSERT INTO holds.hold (id, tenant, scope, patient_ref, reason, placed_issuer, placed_subject, placed_client)
       VALUES ($1, 'default', 'patient', $2, '\\x00', 'i', 's', 'c')`,
      [newId(), held],
    )
    expect(await refOf(turned!, 'MRN-HELD')).toBe(held)
    const seen = await refOf(old!, 'MRN-SEEN')
    const entry = { id: newId(), tenant: 'default', service: 'imaging', actor: { type: 'client', id: 'c' } }
    const more = { action: 'IMAGE_REJECTED', outcome: 'failure', patient_ref: seen, correlation_id: newId() }
    await imaging.query('SELECT audit.append($1, $2)', [entry.id, JSON.stringify({ ...entry, ...more })])
    expect(await refOf(turned!, 'MRN-SEEN')).toBe(seen)
  })
})
