import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../../test/support/database.js'
import { dataKeyFor, destroyDataKeys, existingDataKey, KeyDestroyedError } from './data-keys.js'
import { type DataKey, openField, sealField } from './field.js'
import { KeyCache } from './key-cache.js'
import { LocalKeyring } from './keyring.js'
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

const patient = (subject: string, tenant = 'default') => ({ tenant, purpose: 'imaging', subject })

test('a scope keeps its key; another tenant, purpose or subject has another', async () => {
  const first = await dataKeyFor(imaging, keys, patient('1:a'))
  const scopes = [patient('1:b'), patient('1:a', 'other'), { ...patient('1:a'), purpose: 'notes' }]
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
  const scopes = [patient('1:erased'), { ...patient('1:erased'), purpose: 'notes' }]
  for (const scope of scopes) {
    const key = await dataKeyFor(imaging, keys, scope)
    const sealed = sealField(key, place, Buffer.from('DOE^JANE'))
    expect(openField(await existingDataKey(imaging, keys, scope), place, sealed).toString()).toBe('DOE^JANE')
  }
  expect(await destroyDataKeys(admin, 'other', '1:erased')).toBe(0)
  expect(await destroyDataKeys(admin, 'default', '1:erased')).toBe(2)
  expect(await destroyDataKeys(admin, 'default', '1:erased')).toBe(0)
  for (const scope of scopes) {
    await expect(existingDataKey(another, keys, scope)).rejects.toThrow(KeyDestroyedError)
    await expect(dataKeyFor(imaging, keys, scope)).rejects.toThrow(KeyDestroyedError)
  }
})

test('a service can make and read keys, and neither change nor remove one; others see none', async () => {
  for (const sql of [
    'UPDATE keys.data_key SET wrapped = NULL, destroyed_at = now()',
    'DELETE FROM keys.data_key',
    'TRUNCATE keys.data_key',
  ])
    await expect(imaging.query(sql)).rejects.toThrow(/permission denied/)
  for (const role of ['vigil_fraud', 'vigil_compliance', 'vigil_sequencer'] as const) {
    const client = await connect(database.url(role))
    await expect(client.query('SELECT FROM keys.data_key')).rejects.toThrow(/permission denied/)
    await client.end()
  }
})
