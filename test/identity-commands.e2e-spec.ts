import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request as httpsRequest } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLocalJWKSet, decodeJwt, decodeProtectedHeader, type JSONWebKeySet, jwtVerify } from 'jose'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createLogger, type RunningService } from '#libs/platform'
import { ComplianceConfig, startCompliance } from '../apps/compliance/src/start.js'
import { freePort } from '../scripts/embedded/port.js'
import { clients } from '../scripts/identity/clients.js'
import { rotate } from '../scripts/identity/rotate.js'
import { openSession } from '../scripts/identity/session.js'
import { users } from '../scripts/identity/users.js'
import { type Authority, createAuthority, hasOpenssl } from './support/certificates.js'
import { createTestDatabase, type TestDatabase } from './support/database.js'

const dataDir = mkdtempSync(join(tmpdir(), 'vigil-commands-'))
let database: TestDatabase
let admin: pg.Client
let service: RunningService

const start = async (settings: Record<string, string> = {}, scheme = 'http') => {
  const port = await freePort(0)
  return startCompliance(
    ComplianceConfig.parse({
      DATABASE_URL: database.url('vigil_compliance'),
      DATA_DIR: dataDir,
      PORT: port,
      ISSUER: `${scheme}://127.0.0.1:${port}`,
      RATE_LIMITS: '{"token":10000}',
      DRAIN_DELAY_MS: 0,
      ...settings,
    }),
    createLogger('compliance', 'silent'),
  )
}

beforeAll(async () => {
  database = await createTestDatabase()
  admin = new pg.Client({ connectionString: database.adminUrl })
  await admin.connect()
  service = await start()
})
afterAll(async () => {
  await service?.stop()
  await admin?.end()
  await database?.drop()
  rmSync(dataDir, { recursive: true, force: true })
})

const commands = { clients, users, 'identity:rotate': rotate }

/** What a command prints; rejects with what it would say. */
async function command(name: keyof typeof commands, ...args: string[]): Promise<string> {
  const lines: string[] = []
  const env = { IDENTITY_DATABASE_URL: database.url('vigil_identity'), DATA_DIR: dataDir }
  await commands[name](
    args,
    openSession(name, env, (line) => void lines.push(line)),
  )
  return lines.join('\n')
}
const complaint = (name: keyof typeof commands, ...args: string[]) =>
  command(name, ...args).then(
    () => 'none',
    (error: Error) => error.message,
  )

const ask = (client_id: string, client_secret: string, url = service.url) =>
  fetch(`${url}/auth/token`, {
    method: 'POST',
    body: new URLSearchParams({ grant_type: 'client_credentials', client_id, client_secret }),
  })
const tokenOf = async (response: Response) =>
  ((await response.json()) as { access_token: string }).access_token
const secretIn = (output: string) => /client_secret\s+(\S+)/.exec(output)![1]!
const withKey = (key: string) =>
  fetch(`${service.url}/api/v1/audit/entries?limit=1`, { headers: { 'x-api-key': key } })
const keySet = async () =>
  (await (await fetch(`${service.url}/.well-known/jwks.json`)).json()) as JSONWebKeySet
const actions = async (like: string) =>
  (
    await admin.query<{ action: string; details: Record<string, unknown> }>(
      `SELECT action, convert_from(body, 'UTF8')::jsonb -> 'entry' -> 'details' AS details FROM audit.entry
       WHERE action LIKE $1 ORDER BY recorded_at`,
      [like],
    )
  ).rows

describe('npm run clients', () => {
  let secret: string

  test('adds a client whose secret is shown once and works at once', async () => {
    secret = secretIn(await command('clients', 'add', 'batch', '--scopes', 'audit:read data:read'))
    expect((await ask('batch', secret)).status).toBe(200)
    const { rows } = await admin.query(
      `SELECT secret_sha256 FROM identity.client_secret WHERE client_id = 'batch'`,
    )
    expect(rows[0].secret_sha256).toHaveLength(32)
  })

  test('says what is wrong in one line', async () => {
    const key = join(dataDir, 'private.json')
    writeFileSync(key, JSON.stringify({ keys: [{ kty: 'EC', d: 'x' }] }))
    const [taken, unnamed, nobody, secretKey, misspelt] = await Promise.all([
      complaint('clients', 'add', 'batch', '--scopes', 'data:read'),
      complaint('clients', 'add', '01900000-0000-7000-8000-000000000000', '--scopes', 'data:read'),
      complaint('clients', 'rotate', 'nobody'),
      complaint('clients', 'add', 'smart', '--scopes', 'system/ImagingStudy.rs', '--jwks', key),
      complaint('clients', 'add', 'typo', '--scopes', 'data:read audit:raed'),
    ])
    expect(taken).toBe('There is a client batch already')
    expect(unnamed).toMatch(/no UUID/)
    expect(nobody).toBe('There is no client nobody that has a secret')
    expect(secretKey).toMatch(/private key/)
    expect(misspelt).toBe('There is no scope audit:raed')
  })

  test('rotates a secret with overlap, and revokes', async () => {
    const next = secretIn(await command('clients', 'rotate', 'batch', '--overlap', '1h'))
    expect([(await ask('batch', secret)).status, (await ask('batch', next)).status]).toEqual([200, 200])
    const last = secretIn(await command('clients', 'rotate', 'batch', '--overlap', '0s'))
    const statuses = [secret, next, last].map(async (text) => (await ask('batch', text)).status)
    expect(await Promise.all(statuses)).toEqual([401, 401, 200])
    secret = last
  })

  test('API keys: one that works at every route of its scopes, is rotated with overlap, and revoked', async () => {
    const key = await command('clients', 'keys', 'add', 'batch', '--scopes', 'audit:read', '--expires', '1d')
    expect((await withKey(key)).status).toBe(200)
    expect((await withKey(`${key.slice(0, -1)}x`)).status).toBe(401)
    const id = key.split('_')[1]!
    const [next, tooMuch] = await Promise.all([
      command('clients', 'keys', 'rotate', id, '--overlap', '1h'),
      complaint('clients', 'keys', 'add', 'batch', '--scopes', 'phi:reidentify'),
    ])
    expect(tooMuch).toMatch(/may not have the scope phi:reidentify/)
    expect([(await withKey(key)).status, (await withKey(next)).status]).toEqual([200, 200])
    await expect
      .poll(
        async () =>
          (await admin.query('SELECT last_used_at FROM identity.api_key WHERE id = $1', [id])).rows[0],
      )
      .toMatchObject({ last_used_at: expect.any(Date) })
    const readOnly = await command('clients', 'keys', 'add', 'batch', '--scopes', 'data:read')
    expect((await withKey(readOnly)).status).toBe(403)
    await command('clients', 'keys', 'revoke', readOnly.split('_')[1]!)
    const other = await start()
    const elsewhere = { headers: { 'x-api-key': readOnly } }
    expect((await fetch(`${other.url}/api/v1/audit/entries`, elsewhere)).status).toBe(401)
    await other.stop()
    const { rows } = await admin.query('SELECT json_agg(k)::text AS keys FROM identity.api_key k')
    for (const text of [key, next]) expect(rows[0].keys).not.toContain(text.slice(16, 40))
  })

  test('a revoked client gets nothing', async () => {
    await command('clients', 'revoke', 'batch')
    expect((await ask('batch', secret)).status).toBe(401)
  })

  test('each act is in the trail, with the account it was run from, and no secret', async () => {
    const seen = (await actions('CLIENT%')).concat(await actions('API_KEY%'))
    expect(new Set(seen.map(({ action }) => action))).toEqual(
      new Set([
        ...['CLIENT_ADDED', 'CLIENT_SECRET_ROTATED', 'CLIENT_REVOKED'],
        ...['API_KEY_ADDED', 'API_KEY_ROTATED', 'API_KEY_REVOKED'],
      ]),
    )
    for (const { details } of seen) expect(details.operator).toEqual(expect.any(String))
    expect(JSON.stringify(seen)).not.toContain(secret)
  })
})

test('npm run users: adds, lists, resets and disables people', async () => {
  const email = 'ines@example.org'
  const added = await command('users', 'add', email, '--name', 'Ines', '--role', 'auditor')
  expect(added).toMatch(/^password\s+\S{20}$/)
  const [reset, wrongRole] = await Promise.all([
    command('users', 'reset-password', email),
    complaint('users', 'add', 'x@example.org', '--name', 'X', '--role', 'admin'),
  ])
  expect(reset).not.toBe(added)
  expect(wrongRole).toContain('analyst, radiologist, auditor, privacy-officer, operator')
  await command('users', 'reset-totp', email)
  await command('users', 'disable', email.toUpperCase())
  expect(await command('users', 'list')).toMatch(/ines@example.org.*auditor.*none/)
  expect((await actions('USER%')).map(({ action }) => action)).toEqual([
    ...['USER_ADDED', 'USER_PASSWORD_RESET', 'USER_SECOND_FACTOR_RESET', 'USER_DISABLED'],
  ])
})

test('npm run identity:rotate: a key is published before it signs; the old one verifies until its tokens are gone', async () => {
  const secret = secretIn(await command('clients', 'add', 'steady', '--scopes', 'data:read'))
  const token = async () => tokenOf(await ask('steady', secret))
  const kidOf = async () => decodeProtectedHeader(await token()).kid
  const before = await token()
  const oldKid = decodeProtectedHeader(before).kid
  const newKid = (await command('identity:rotate')).split(' ')[0]
  await expect
    .poll(async () => (await keySet()).keys.map(({ kid }) => kid), { timeout: 8_000 })
    .toContain(newKid)
  expect(await kidOf()).toBe(oldKid)
  await admin.query(`UPDATE identity.signing_key SET signs_from = now() WHERE kid = $1`, [newKid])
  await expect.poll(kidOf, { timeout: 8_000 }).toBe(newKid)
  const keys = createLocalJWKSet(await keySet())
  for (const text of [before, await token()])
    await jwtVerify(text, keys, { typ: 'at+jwt', audience: 'vigil' })
  await command('identity:rotate', '--retire', oldKid!)
  await expect
    .poll(async () => (await keySet()).keys.map(({ kid }) => kid), { timeout: 8_000 })
    .not.toContain(oldKid)
  await expect(jwtVerify(before, createLocalJWKSet(await keySet()))).rejects.toThrow()
})

describe.skipIf(!hasOpenssl)('a client whose tokens are bound to its certificate (RFC 8705)', () => {
  let authority: Authority
  let secured: RunningService
  beforeAll(async () => {
    authority = createAuthority()
    const server = authority.issue('server')
    const tls = { TLS_CERT: server.cert, TLS_KEY: server.key, TLS_CLIENT_CA: authority.cert }
    secured = await start({ ...tls, TLS_CLIENT_AUTH: 'optional' }, 'https')
  })
  afterAll(async () => {
    await secured?.stop()
    authority?.remove()
  })

  test('gets one for the certificate it shows, and none without', async () => {
    const args = ['add', 'vault', '--scopes', 'data:read', '--certificate-bound']
    const client_secret = secretIn(await command('clients', ...args))
    const { cert, key, thumbprint } = authority.issue('vault')
    const body = new URLSearchParams({ grant_type: 'client_credentials', client_id: 'vault', client_secret })
    const post = (shown: object) =>
      new Promise<{ status: number; text: string }>((resolve, reject) => {
        const headers = { 'content-type': 'application/x-www-form-urlencoded' }
        const ca = readFileSync(authority.cert)
        const options = { method: 'POST', ca, agent: false as const, headers, ...shown }
        httpsRequest(`${secured.url}/auth/token`, options, async (response) => {
          const chunks = await response.toArray()
          resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() })
        })
          .on('error', reject)
          .end(body.toString())
      })
    const issued = await post({ cert: readFileSync(cert), key: readFileSync(key) })
    expect(issued.status).toBe(200)
    const { access_token } = JSON.parse(issued.text) as { access_token: string }
    expect(decodeJwt(access_token)).toMatchObject({ cnf: { 'x5t#S256': thumbprint } })
    const refused = await post({})
    expect(refused.status).toBe(400)
    expect(JSON.parse(refused.text)).toMatchObject({ error: 'invalid_grant' })
    expect(refused.text).toMatch(/certificate/)
  })
})
