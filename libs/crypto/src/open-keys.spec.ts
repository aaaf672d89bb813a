import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createTestDatabase, type Role, type TestDatabase } from '../../../test/support/database.js'
import { hasOpenBao, type OpenBao, startOpenBao, stopServers } from '../../../test/support/key-services.js'
import { dataKeyFor, existingDataKey } from './data-keys.js'
import { openField, sealField } from './field.js'
import { openKeys, openProvider } from './open-keys.js'
import { beginRotation, countVersions, finishRotation } from './rotation.js'
import { KeySettings } from './settings.js'

let database: TestDatabase
let pool: pg.Pool
const folder = mkdtempSync(join(tmpdir(), 'vigil-open-keys-'))
/** The database is dropped while connections still say good-bye. */
function poolFor(role: Role): pg.Pool {
  const made = new pg.Pool({ connectionString: database.url(role), max: 2 })
  made.on('connect', (client) => client.on('error', () => undefined))
  return made
}
const settings = (env: Record<string, string>, dataDir = folder) => ({
  ...KeySettings.parse(env),
  DATA_DIR: dataDir,
})
beforeAll(async () => {
  database = await createTestDatabase()
  pool = poolFor('vigil_imaging')
})
afterAll(async () => {
  stopServers()
  await pool?.end()
  await database?.drop()
  rmSync(folder, { recursive: true, force: true })
})

test.each<[Record<string, string>, RegExp]>([
  [{ KMS: 'vault' }, /VAULT_ADDR must be set/],
  [{ KMS: 'vault', VAULT_ADDR: 'http://127.0.0.1:1' }, /VAULT_ROLE_ID .* VAULT_TOKEN must be set/],
  [
    { KMS: 'vault', VAULT_ADDR: 'http://127.0.0.1:1', VAULT_ROLE_ID: 'r' },
    /VAULT_SECRET_ID_FILE must be set/,
  ],
  [{ KMS: 'aws' }, /AWS_KMS_KEY_ID must be set/],
])('%j: says what is missing', async (env, message) => {
  await expect(openKeys(settings(env), pool)).rejects.toThrow(message)
})

test.each([
  { KMS: 'gcp' },
  { AWS_KMS_KEY_ID: 'alias/vigil' },
  { VAULT_TRANSIT_KEY: '../sys/seal' },
  { BLIND_INDEX_VERSIONS: '2,2' },
  { BLIND_INDEX_VERSIONS: '' },
])('%j is refused', (env) => {
  expect(KeySettings.safeParse(env).success).toBe(false)
})

describe.skipIf(!hasOpenBao())('from the keyring to Vault', () => {
  let bao: OpenBao
  const vault = (more: Record<string, string> = {}) =>
    settings({
      ...{ KMS: 'vault', VAULT_ADDR: bao.address, KEY_CACHE_SIZE: '0' },
      ...{ VAULT_ROLE_ID: bao.login.roleId, VAULT_SECRET_ID_FILE: bao.login.secretIdFile },
      ...more,
    })
  beforeAll(async () => {
    bao = await startOpenBao(folder)
  }, 30_000)

  test('what was sealed opens before, while and after it moves; lookups find what they found', async () => {
    const scope = { tenant: 'default', purpose: 'imaging', subject: '1:moved' }
    const place = { tenant: 'default', table: 'imaging.association', column: 'identity', row: 'r' }
    const client = await pool.connect()
    const before = await openKeys(settings({}), pool)
    const sealed = sealField(await dataKeyFor(client, before.provider, scope), place, Buffer.from('DOE^JANE'))
    const opens = async (keys: Awaited<ReturnType<typeof openKeys>>) =>
      openField(await existingDataKey(client, keys.provider, scope), place, sealed).toString()

    await expect(openKeys(vault(), pool)).rejects.toThrow(
      /keyring.json holds keys in use: set KMS_PREVIOUS=local/,
    )

    const during = await openKeys(vault({ KMS_PREVIOUS: 'local' }), pool)
    expect(await opens(during)).toBe('DOE^JANE')
    expect(during.derive('blind index').equals(before.derive('blind index'))).toBe(true)
    const turner = poolFor('vigil_keys')
    const provider = await openProvider(vault({ KMS_PREVIOUS: 'local' }))
    const order = { pool: turner, provider, record: async () => undefined }
    for await (const _ of finishRotation(order, await beginRotation(order, { fresh: false })));
    expect([...(await countVersions(order))]).toEqual([['vault vigil 1', 2]])

    rmSync(join(folder, 'secrets', 'keyring.json'))
    const after = await openKeys(vault(), pool)
    expect(await opens(after)).toBe('DOE^JANE')
    expect(after.derive('blind index').equals(before.derive('blind index'))).toBe(true)
    for await (const _ of finishRotation(order, await beginRotation(order)));
    expect([...(await countVersions(order))]).toEqual([['vault vigil 2', 2]])
    const again = await openKeys(vault(), pool)
    expect(await opens(again)).toBe('DOE^JANE')
    expect(again.derive('x').equals(before.derive('x'))).toBe(true)
    for (const keys of [before, during, after, again]) keys.close()
    provider.close?.()
    client.release()
    await turner.end()
  })
})
