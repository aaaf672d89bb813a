import type { webcrypto } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decodeJwt, exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose'
import { Secret, TOTP } from 'otpauth'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createLogger, newId, type RunningService } from '#libs/platform'
import { addClient, seedClients } from '../apps/compliance/src/identity/clients.js'
import { hashPassword } from '../apps/compliance/src/identity/passwords.js'
import { addPerson } from '../apps/compliance/src/identity/people.js'
import { ComplianceConfig, startCompliance } from '../apps/compliance/src/start.js'
import { freePort } from '../scripts/embedded/port.js'
import { createTestDatabase, type TestDatabase } from './support/database.js'
import { type Page, pkce, Visitor } from './support/visitor.js'

const CALLBACK = 'http://127.0.0.1:9/callback'
const PASSWORD = 'correct horse battery staple'
const ASSERTION = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

let database: TestDatabase
let admin: pg.Client
let service: RunningService
let smartKey: webcrypto.CryptoKey
const dataDir = mkdtempSync(join(tmpdir(), 'vigil-identity-'))
const logLines: string[] = []

const people: Record<string, { id: string; roles: string[] }> = {
  'ana@example.org': { id: newId(), roles: ['analyst'] },
  'rosa@example.org': { id: newId(), roles: ['radiologist', 'auditor'] },
  'otto@example.org': { id: newId(), roles: ['operator'] },
  'lock@example.org': { id: newId(), roles: ['auditor'] },
}

beforeAll(async () => {
  database = await createTestDatabase()
  admin = new pg.Client({ connectionString: database.adminUrl })
  await admin.connect()
  const smart = await generateKeyPair('ES384', { extractable: true })
  smartKey = smart.privateKey as webcrypto.CryptoKey
  await seedClients(admin, [
    {
      name: 'Payments',
      client_id: 'payments',
      client_secret: 'first-secret',
      scopes: ['ai:inference', 'data:read'],
    },
    {
      name: 'Hospital',
      client_id: 'hospital',
      scopes: ['system/ImagingStudy.rs', 'system/DiagnosticReport.rs'],
      jwks: { keys: [{ ...(await exportJWK(smart.publicKey)), kid: 's1', alg: 'ES384', use: 'sig' }] },
    },
    {
      name: 'Vigil console',
      client_id: 'console',
      scopes: ['data:read', 'fraud:review', 'audit:read', 'ai:inference'],
      redirect_uris: [CALLBACK, '/console/callback'],
      first_party: true,
    },
    {
      name: 'Reading room <b>',
      client_id: 'reading-room',
      client_secret: 'room-secret',
      scopes: ['data:read', 'phi:reidentify'],
      redirect_uris: [CALLBACK],
    },
    {
      name: 'Desk',
      client_id: 'desk',
      scopes: ['data:read'],
      redirect_uris: ['http://127.0.0.1/callback'],
      application_type: 'native',
    },
  ])
  const passwordHash = await hashPassword(PASSWORD)
  for (const [email, { id, roles }] of Object.entries(people))
    await addPerson(admin, { id, name: email.split('@')[0]!, email, roles, passwordHash })
  const port = await freePort(0)
  service = await startCompliance(
    ComplianceConfig.parse({
      DATABASE_URL: database.url('vigil_compliance'),
      DATA_DIR: dataDir,
      PORT: port,
      ISSUER: `http://127.0.0.1:${port}`,
      RATE_LIMITS: '{"token":10000,"anonymous":10000}',
      DRAIN_DELAY_MS: 0,
    }),
    createLogger('compliance', 'info', { write: (line) => void logLines.push(line) }),
  )
})
afterAll(async () => {
  await service?.stop()
  await admin?.end()
  await database?.drop()
  rmSync(dataDir, { recursive: true, force: true })
})

interface Token {
  access_token: string
  id_token?: string
  scope: string
  error?: string
}
const post = (fields: Record<string, string>) =>
  fetch(`${service.url}/auth/token`, { method: 'POST', body: new URLSearchParams(fields) })
const tokenOf = async (response: Response) => (await response.json()) as Token
const credentials = { grant_type: 'client_credentials' }

const assertion = (
  changes: JWTPayload = {},
  alg = 'ES384',
  key: webcrypto.CryptoKey | Uint8Array = smartKey,
) =>
  new SignJWT({
    iss: 'hospital',
    sub: 'hospital',
    aud: `${service.url}/auth/token`,
    jti: newId(),
    ...changes,
  })
    .setProtectedHeader({ alg, kid: 's1', typ: 'JWT' })
    .setExpirationTime(changes.exp ?? '5m')
    .sign(key)
const asHospital = (client_assertion: string, scope?: string) =>
  post({
    ...credentials,
    client_assertion_type: ASSERTION,
    client_assertion,
    ...(scope ? { scope } : {}),
  })

interface Entry {
  action: string
  actor: { type: string; id: string }
  outcome: string
  details: Record<string, unknown>
}
async function trail(action: string): Promise<Entry[]> {
  const { rows } = await admin.query<{ entry: Entry }>(
    `SELECT convert_from(body, 'UTF8')::jsonb -> 'entry' AS entry FROM audit.entry WHERE action = $1 ORDER BY recorded_at`,
    [action],
  )
  return rows.map(({ entry }) => entry)
}

describe('SMART Backend Services: a client that signs with its own key', () => {
  test('gets a token, once for each assertion', async () => {
    const signed = await assertion()
    const first = await asHospital(signed, 'system/ImagingStudy.rs')
    expect(first.status).toBe(200)
    expect(await first.json()).toMatchObject({ token_type: 'Bearer', scope: 'system/ImagingStudy.rs' })
    const again = await asHospital(signed)
    expect(again.status).toBe(401)
    expect(await again.json()).toMatchObject({ error: 'invalid_client' })
  })

  test('of one assertion sent many times at once, one gets through', async () => {
    const signed = await assertion()
    const statuses = await Promise.all(
      Array.from({ length: 12 }, async () => (await asHospital(signed)).status),
    )
    expect(statuses.filter((status) => status === 200)).toHaveLength(1)
    expect(statuses.filter((status) => status === 401)).toHaveLength(11)
  })

  test.each<[string, JWTPayload]>([
    ['for another server', { aud: 'https://elsewhere.example/token' }],
    ['of another client', { iss: 'payments', sub: 'payments' }],
    ['that has expired', { exp: Math.floor(Date.now() / 1000) - 60 }],
    ['without an id', { jti: undefined }],
  ])('an assertion %s is refused', async (_case, changes) => {
    expect((await asHospital(await assertion(changes))).status).toBe(401)
  })

  test('an assertion signed with a secret or with no key of the client is refused', async () => {
    const stranger = (await generateKeyPair('ES384')).privateKey as webcrypto.CryptoKey
    expect((await asHospital(await assertion({}, 'ES384', stranger))).status).toBe(401)
    const mac = await assertion({}, 'HS256', Buffer.from('a'.repeat(32)))
    expect((await asHospital(mac)).status).toBe(401)
  })

  test('the SMART configuration names the endpoint, the methods and the scopes', async () => {
    const smart = await (await fetch(`${service.url}/.well-known/smart-configuration`)).json()
    expect(smart).toMatchObject({
      token_endpoint: `${service.url}/auth/token`,
      grant_types_supported: expect.arrayContaining(['client_credentials']),
      token_endpoint_auth_methods_supported: expect.arrayContaining(['private_key_jwt']),
      token_endpoint_auth_signing_alg_values_supported: expect.arrayContaining(['RS384', 'ES384']),
      scopes_supported: expect.arrayContaining(['system/ImagingStudy.rs', 'system/DiagnosticReport.rs']),
      capabilities: expect.arrayContaining(['client-confidential-asymmetric']),
    })
    const openid = await (await fetch(`${service.url}/.well-known/openid-configuration`)).json()
    expect(openid).toMatchObject({
      issuer: service.url,
      token_endpoint: `${service.url}/auth/token`,
      authorization_endpoint: `${service.url}/auth/authorize`,
      jwks_uri: `${service.url}/.well-known/jwks.json`,
      response_types_supported: ['code'],
      grant_types_supported: ['client_credentials', 'authorization_code'],
      code_challenge_methods_supported: ['S256'],
      id_token_signing_alg_values_supported: ['ES256'],
    })
  })
})

test('what fails inside is no fault of the client: neither invalid_client nor a code of OAuth', async () => {
  await admin.query('ALTER TABLE identity.client RENAME TO away')
  const answer = await asHospital(await assertion())
  await admin.query('ALTER TABLE identity.away RENAME TO client')
  expect(answer.status).toBe(500)
  expect(answer.headers.get('content-type')).toMatch(/problem\+json/)
  expect(await answer.json()).toMatchObject({ type: 'urn:vigil:problem:internal' })
  expect((await asHospital(await assertion())).status).toBe(200)
})

test('a NUL in the name of a client is somebody nobody knows, not a failure inside', async () => {
  const client_id = 'hospital\0'
  const json = await fetch(`${service.url}/auth/token`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ client_id, client_secret: 'x' }),
  })
  const form = await post({ ...credentials, client_id, client_secret: 'x' })
  const query = await fetch(`${service.url}/auth/authorize?client_id=a%00b&response_type=code`)
  const signed = await asHospital(await assertion({ iss: client_id, sub: client_id, jti: 'a\0' }))
  expect([json.status, form.status, query.status, signed.status]).toEqual([401, 400, 400, 401])
})

describe('a secret is changed', () => {
  test('two secrets work until the old one ends; a revoked client gets nothing', async () => {
    await addClient(admin, { name: 'Batch', client_id: 'batch', client_secret: 'old', scopes: ['data:read'] })
    await admin.query(
      `INSERT INTO identity.client_secret (client_id, secret_sha256) VALUES ('batch', sha256('new'))`,
    )
    const batch = (client_secret: string) => post({ ...credentials, client_id: 'batch', client_secret })
    expect([(await batch('old')).status, (await batch('new')).status]).toEqual([200, 200])
    await admin.query(
      `UPDATE identity.client_secret SET expires_at = now() WHERE client_id = 'batch' AND secret_sha256 = sha256('old')`,
    )
    expect([(await batch('old')).status, (await batch('new')).status]).toEqual([401, 200])
    await admin.query(`UPDATE identity.client SET revoked_at = now() WHERE client_id = 'batch'`)
    expect((await batch('new')).status).toBe(401)
  })
})

interface Asked {
  visitor: Visitor
  page: Page
  verifier: string
}
async function askToSignIn(
  changes: Record<string, string> = {},
  visitor = new Visitor(service.url),
): Promise<Asked> {
  const { verifier, challenge } = pkce()
  const query = new URLSearchParams({
    client_id: 'console',
    response_type: 'code',
    redirect_uri: CALLBACK,
    scope: 'openid profile data:read fraud:review audit:read',
    state: 'abc',
    code_challenge: challenge,
    code_challenge_method: 'S256',
    ...changes,
  })
  return { visitor, page: await visitor.visit(`/auth/authorize?${query}`), verifier }
}
const redeem = (code: string, code_verifier: string, changes: Record<string, string> = {}) =>
  post({
    grant_type: 'authorization_code',
    client_id: 'console',
    code,
    code_verifier,
    redirect_uri: CALLBACK,
    ...changes,
  })
const codeIn = (page: Page): string => {
  expect(page.url).toMatch(/^http:\/\/127\.0\.0\.1:9\/callback\?/)
  const found = new URL(page.url).searchParams
  expect(found.get('error_description') ?? found.get('error')).toBeNull()
  return found.get('code')!
}
const signIn = async (email: string, changes: Record<string, string> = {}) => {
  const asked = await askToSignIn(changes)
  return { ...asked, page: await asked.visitor.submit(asked.page, { email, password: PASSWORD }) }
}

describe('a person signs in', () => {
  test('by code and PKCE; the token says who, for which tenant, and has what role and application share', async () => {
    const { page, verifier } = await signIn('ana@example.org')
    expect(new URL(page.url).searchParams.get('state')).toBe('abc')
    expect(new URL(page.url).searchParams.get('iss')).toBe(service.url)
    const token = await tokenOf(await redeem(codeIn(page), verifier))
    const claims = decodeJwt(token.access_token)
    expect(claims).toMatchObject({
      sub: people['ana@example.org']!.id,
      client_id: 'console',
      tenant: 'default',
      roles: ['analyst'],
      aud: 'vigil',
    })
    expect(String(claims.scope).split(' ').sort()).toEqual(['data:read', 'fraud:review'])
    expect(decodeJwt(token.id_token!)).toMatchObject({ name: 'ana', roles: ['analyst'], aud: 'console' })
    const [issued] = (await trail('TOKEN_ISSUED')).slice(-1)
    expect(issued).toMatchObject({
      actor: { type: 'user', id: claims.sub },
      details: { jti: claims.jti, client_id: 'console', sub: claims.sub, iss: service.url },
    })
  })

  test('the code works once, with its verifier, at its address, for its application', async () => {
    const { page, verifier } = await signIn('ana@example.org')
    const code = codeIn(page)
    expect((await redeem(code, pkce().verifier)).status).toBe(400)
    expect((await redeem(code, verifier, { redirect_uri: `${CALLBACK}/x` })).status).toBe(400)
    const statuses = await Promise.all(
      Array.from({ length: 6 }, async () => (await redeem(code, verifier)).status),
    )
    expect(statuses.sort()).toEqual([200, 400, 400, 400, 400, 400])
  })

  test.each([
    ['no challenge', { code_challenge: '' }, /code_challenge/],
    ['a plain challenge', { code_challenge_method: 'plain' }, /code_challenge_method/],
    ['the implicit flow', { response_type: 'token' }, /unsupported_response_type|response_type/],
  ])('%s is refused', async (_case, changes, reason) => {
    const { page } = await askToSignIn(changes)
    expect(decodeURIComponent(page.url)).toMatch(reason)
    expect(page.url).toMatch(/[?&#]error=/)
  })

  test('an address that is not registered gets nobody back', async () => {
    const { page } = await askToSignIn({ redirect_uri: 'https://evil.example/' })
    expect(page.status).toBe(400)
    expect(page.url).toContain(service.url)
    expect(page.text).toContain('redirect_uri')
  })

  test('signed in already, the next application does not ask again; signed out, it does', async () => {
    const { visitor, page } = await signIn('ana@example.org')
    codeIn(page)
    codeIn((await askToSignIn({}, visitor)).page)
    const confirm = await visitor.visit('/auth/logout')
    expect(confirm.text).toContain('Sign out?')
    const done = await visitor.submit(confirm, { logout: 'yes' })
    expect(done.text).toContain('Signed out')
    expect((await askToSignIn({}, visitor)).page.text).toContain('Sign in')
  })

  test('somebody else at the same machine gets their own session, and the first one’s is over', async () => {
    const { visitor, page } = await signIn('ana@example.org')
    codeIn(page)
    const asked = await askToSignIn({ prompt: 'login' }, visitor)
    expect(asked.page.text).toContain('Sign in')
    const back = await visitor.submit(asked.page, { email: 'otto@example.org', password: PASSWORD })
    const token = await tokenOf(await redeem(codeIn(back), asked.verifier))
    expect(decodeJwt(token.access_token).sub).toBe(people['otto@example.org']!.id)
  })

  test('who is disabled while signed in is asked to sign in again, in vain', async () => {
    const { visitor, page } = await signIn('otto@example.org')
    codeIn(page)
    await admin.query(`UPDATE identity.person SET disabled_at = now() WHERE email = 'otto@example.org'`)
    const asked = await askToSignIn({}, visitor)
    expect(asked.page.text).toContain('Sign in')
    expect((await visitor.submit(asked.page, { email: 'otto@example.org', password: PASSWORD })).status).toBe(
      403,
    )
    await admin.query(`UPDATE identity.person SET disabled_at = NULL WHERE email = 'otto@example.org'`)
  })

  test('signing out without a session needs no script either', async () => {
    const visitor = new Visitor(service.url)
    const page = await visitor.visit('/auth/logout')
    expect(page.text).not.toMatch(/<script/i)
    expect((await visitor.submit(page)).text).toContain('Signed out')
  })

  test('an ID token opens nothing', async () => {
    const { page, verifier } = await signIn('rosa@example.org')
    const { access_token, id_token } = await tokenOf(await redeem(codeIn(page), verifier))
    const read = (bearer: string) =>
      fetch(`${service.url}/api/v1/audit/entries?limit=1`, { headers: { authorization: `Bearer ${bearer}` } })
    expect((await read(access_token)).status).toBe(200)
    expect((await read(id_token!)).status).toBe(401)
  })

  test('the page is closed to frames, scripts and other forms; its cookies to scripts and other sites', async () => {
    const { page, visitor } = await askToSignIn()
    const policy = page.headers.get('content-security-policy')!
    expect(policy).toMatch(/default-src 'none'/)
    expect(policy).toMatch(/frame-ancestors 'none'/)
    expect(policy).toMatch(/form-action 'self' http:\/\/127\.0\.0\.1:9;/)
    expect(policy).not.toMatch(/unsafe|script-src/)
    expect(page.text).not.toMatch(/<script/i)
    expect(page.headers.get('cache-control')).toBe('no-store')
    for (const cookie of visitor.setCookies) expect(cookie).toMatch(/samesite=lax; httponly/i)
    for (const field of ['email', 'password']) expect(page.text).toContain(`<label for="${field}">`)
  })

  test('a form from elsewhere is refused', async () => {
    const { page, visitor } = await askToSignIn()
    const forged = await visitor.visit(page.url, { email: 'ana@example.org', password: PASSWORD, csrf: 'x' })
    expect(forged.status).toBe(403)
    const stranger = await new Visitor(service.url).visit(page.url, { csrf: 'x' })
    expect(stranger.status).toBe(400)
  })

  test('another application asks what it wants; the answer is kept and written down', async () => {
    const room = { client_id: 'reading-room', scope: 'openid data:read phi:reidentify' }
    const asked = await signIn('rosa@example.org', room)
    expect(asked.page.text).toContain('Let Reading room &#60;b&#62; act for you?')
    const page = await asked.visitor.submit(asked.page, { answer: 'allow' })
    const answer = await redeem(codeIn(page), asked.verifier, {
      client_id: 'reading-room',
      client_secret: 'room-secret',
    })
    expect((await tokenOf(answer)).scope.split(' ').sort()).toEqual(['data:read', 'phi:reidentify'])
    codeIn((await askToSignIn(room, asked.visitor)).page)
    const denied = await signIn('rosa@example.org', room)
    const back = await denied.visitor.submit(denied.page, { answer: 'deny' })
    expect(new URL(back.url).searchParams.get('error')).toBe('access_denied')
    expect(await trail('CONSENT_GIVEN')).toHaveLength(1)
    expect(await trail('CONSENT_DENIED')).toHaveLength(1)
  })

  test('a native application, which asks each time, says what it gets, not what it would like', async () => {
    const desk = { client_id: 'desk', scope: 'openid data:read phi:erase' }
    const asked = await signIn('rosa@example.org', desk)
    codeIn(await asked.visitor.submit(asked.page, { answer: 'allow' }))
    const { page } = await askToSignIn(desk, asked.visitor)
    expect(page.text).toContain('data:read')
    expect(page.text).not.toContain('phi:erase')
  })

  test('somebody who was disabled gets no token, even with a code in hand', async () => {
    const { page, verifier } = await signIn('otto@example.org')
    const code = codeIn(page)
    await admin.query(`UPDATE identity.person SET disabled_at = now() WHERE email = 'otto@example.org'`)
    expect((await redeem(code, verifier)).status).toBe(400)
    expect((await signIn('otto@example.org')).page.status).toBe(403)
    await admin.query(`UPDATE identity.person SET disabled_at = NULL WHERE email = 'otto@example.org'`)
  })
})

describe('a second factor', () => {
  const totp = (secret: string) => new TOTP({ secret: Secret.fromBase32(secret) })
  let secret: string
  let codes: string[]

  test('is set up once, with a code that proves it', async () => {
    const { visitor, page } = await askToSignIn()
    const enrol = await visitor.submit(page, { email: 'rosa@example.org', password: PASSWORD, enrol: 'yes' })
    expect(enrol.text).toContain('otpauth://totp/Vigil:rosa%40example.org')
    secret = /<code id="secret">([A-Z2-7 ]+)</.exec(enrol.text)![1]!.replaceAll(' ', '')
    const wrong = await visitor.submit(enrol, { code: '000000' })
    expect(wrong.status).toBe(403)
    const kept = await visitor.submit(wrong, { code: totp(secret).generate() })
    codes = [...kept.text.matchAll(/<li>([a-z2-9-]{19})<\/li>/g)].map(([, code]) => code!)
    expect(codes).toHaveLength(10)
    codeIn(await visitor.submit(kept))
    const { rows } = await admin.query(
      `SELECT totp_sealed FROM identity.person WHERE email = 'rosa@example.org'`,
    )
    expect(rows[0].totp_sealed.toString('latin1')).not.toContain(Buffer.from(secret).toString('latin1'))
  })

  test('is asked for from then on; a code works once, a recovery code too', async () => {
    const asked = await signIn('rosa@example.org')
    expect(asked.page.text).toContain('Second factor')
    // The code that enrolled is spent; the next time step's is not.
    const spent = await asked.visitor.submit(asked.page, { code: totp(secret).generate() })
    expect(spent.status).toBe(403)
    const next = totp(secret).generate({ timestamp: Date.now() + 30_000 })
    codeIn(await asked.visitor.submit(spent, { code: next }))
    const again = await signIn('rosa@example.org')
    expect((await again.visitor.submit(again.page, { code: next })).status).toBe(403)
    codeIn(await again.visitor.submit(again.page, { code: codes[0]!.toUpperCase() }))
    const third = await signIn('rosa@example.org')
    expect((await third.visitor.submit(third.page, { code: codes[0]! })).status).toBe(403)
    const last = (await trail('LOGIN_SUCCEEDED')).at(-1)!
    expect(last.details.factors).toEqual(['pwd', 'recovery', 'mfa'])
  })
})

test('where a second factor is required, nobody gets in without setting one up', async () => {
  const port = await freePort(0)
  const strict = await startCompliance(
    ComplianceConfig.parse({
      DATABASE_URL: database.url('vigil_compliance'),
      DATA_DIR: dataDir,
      PORT: port,
      ISSUER: `http://127.0.0.1:${port}`,
      SECOND_FACTOR: 'required',
      RATE_LIMITS: '{"token":10000}',
      DRAIN_DELAY_MS: 0,
    }),
    createLogger('compliance', 'silent'),
  )
  const { visitor, page } = await askToSignIn({}, new Visitor(strict.url))
  expect(page.text).not.toContain('name="enrol"')
  const enrol = await visitor.submit(page, { email: 'ana@example.org', password: PASSWORD })
  expect(enrol.text).toContain('Set up a second factor')
  expect((await visitor.submit(enrol, { code: '123456' })).status).toBe(403)
  await strict.stop()
})

describe('guessing', () => {
  const guess = async (email: string, password: string) => {
    const { visitor, page } = await askToSignIn()
    const answer = await visitor.submit(page, { email, password })
    return { status: answer.status, text: answer.text.replaceAll(/value="[^"]*"/g, '') }
  }

  test('after five failures even the right password does not help, and nobody can tell', async () => {
    const wrong = await guess('lock@example.org', 'wrong password here')
    const unknown = await guess('nobody@example.org', 'wrong password here')
    expect(unknown).toEqual(wrong)
    await Promise.all(Array.from({ length: 5 }, () => guess('lock@example.org', 'wrong password here')))
    expect(await guess('lock@example.org', PASSWORD)).toEqual(wrong)
    expect(
      (await trail('LOCKED_OUT')).filter(({ actor }) => actor.id === people['lock@example.org']!.id),
    ).toHaveLength(1)
    const failed = await trail('LOGIN_FAILED')
    expect(failed.find(({ actor }) => actor.id === 'unknown')).toMatchObject({ outcome: 'denied' })
    await admin.query(`UPDATE identity.sign_in_attempt SET locked_until = now()`)
    expect((await guess('lock@example.org', PASSWORD)).status).toBe(303)
  })

  test('a field over its limit is refused like a wrong one', async () => {
    const wrong = await guess('nobody@example.org', 'wrong password here')
    expect(await guess('nobody@example.org', 'x'.repeat(257))).toEqual(wrong)
    expect(await guess(`${'x'.repeat(250)}@example.org`, 'wrong password here')).toEqual(wrong)
    expect(wrong.status).toBe(403)
    expect(wrong.text).not.toContain('did not come from this page')
  })

  test('an address that floods is refused without a look, and without an entry for each try', async () => {
    const asked = await askToSignIn()
    await admin.query(
      `UPDATE identity.sign_in_attempt SET failures = 40, last_at = now(), locked_until = now() + interval '5 min'`,
    )
    const before = (await trail('LOGIN_FAILED')).length
    const fields = { email: 'ana@example.org', password: PASSWORD }
    const statuses = await Promise.all(
      Array.from({ length: 20 }, async () => (await asked.visitor.submit(asked.page, fields)).status),
    )
    expect(new Set(statuses)).toEqual(new Set([403]))
    expect(await trail('LOGIN_FAILED')).toHaveLength(before)
    await admin.query('DELETE FROM identity.sign_in_attempt')
  })
})

test('no secret is in the log, the trail, or readable in the database', async () => {
  const { rows } = await admin.query(
    `SELECT (SELECT json_agg(convert_from(body, 'UTF8'))::text FROM audit.entry)
       || (SELECT json_agg(a)::text FROM identity.artifact a)
       || (SELECT json_agg(p)::text FROM identity.person p)
       || (SELECT json_agg(c)::text FROM identity.client_secret c) AS everything`,
  )
  const everything = rows[0].everything + logLines.join('')
  for (const secret of [PASSWORD, 'first-secret', 'room-secret', 'wrong password here']) {
    expect(everything).not.toContain(secret)
    expect(everything).not.toContain(Buffer.from(secret).toString('hex'))
  }
  expect(logLines.join('')).not.toMatch(/example\.org|code_verifier/)
})
