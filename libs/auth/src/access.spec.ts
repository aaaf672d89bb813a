import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Controller, Get, Module } from '@nestjs/common'
import { exportJWK, exportSPKI, generateKeyPair, type JWTHeaderParameters, SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { BaseConfig, createLogger, type RunningService, startService } from '#libs/platform'
import { AuthModule } from './auth.module.js'
import { Caller, Public, Scopes } from './decorators.js'
import { authorize, type Principal, principalOf } from './principal.js'

@Controller()
class DoorsController {
  @Get('open')
  @Public('a test')
  open() {
    return { door: 'open' }
  }

  @Get('guarded')
  @Scopes('data:read')
  guarded(@Caller() caller: Principal) {
    return caller
  }

  @Get('forgotten')
  forgotten() {
    return { door: 'nobody said who may come in' }
  }
}

type Pair = Awaited<ReturnType<typeof generateKeyPair>>
let keys: Pair
let stranger: Pair
let issuer: Server
let service: RunningService
let fetches = 0
let issuerUrl: string

beforeAll(async () => {
  keys = await generateKeyPair('ES256', { extractable: true })
  stranger = await generateKeyPair('ES256', { extractable: true })
  const jwks = JSON.stringify({
    keys: [{ ...(await exportJWK(keys.publicKey)), kid: 'k1', alg: 'ES256', use: 'sig' }],
  })
  issuer = createServer((_request, response) => {
    fetches++
    response.setHeader('content-type', 'application/json').end(jwks)
  })
  await new Promise<void>((done) => issuer.listen(0, '127.0.0.1', done))
  issuerUrl = `http://127.0.0.1:${(issuer.address() as AddressInfo).port}`
  @Module({
    imports: [AuthModule.with({ issuer: issuerUrl, audience: 'vigil', jwksUrl: issuerUrl })],
    controllers: [DoorsController],
  })
  class DoorsModule {}
  service = await startService({
    name: 'fraud',
    title: 'Doors',
    module: DoorsModule,
    config: BaseConfig.parse({ DATABASE_URL: 'postgres://x@127.0.0.1/x', DRAIN_DELAY_MS: '0' }),
    logger: createLogger('fraud', 'silent'),
    checks: {},
  })
})
afterAll(async () => {
  await service?.stop()
  issuer?.closeAllConnections()
  issuer?.close()
})

const now = () => Math.floor(Date.now() / 1000)
interface Changes {
  claims?: Record<string, unknown>
  header?: Partial<JWTHeaderParameters>
  key?: Pair['privateKey'] | Uint8Array
}
function token({ claims = {}, header = {}, key = keys.privateKey }: Changes = {}): Promise<string> {
  const usual = {
    iss: issuerUrl,
    aud: 'vigil',
    sub: 'payments',
    client_id: 'payments',
    tenant: 'default',
    scope: 'data:read',
    iat: now(),
    exp: now() + 60,
  }
  return new SignJWT({ ...usual, ...claims })
    .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid: 'k1', ...header })
    .sign(key)
}
const knock = (door: string, bearer?: string) =>
  fetch(`${service.url}/${door}`, {
    headers: bearer === undefined ? {} : { authorization: `Bearer ${bearer}` },
  })

test('a right token opens its door and says who came', async () => {
  const response = await knock('guarded', await token())
  expect(response.status).toBe(200)
  expect(await response.json()).toEqual({
    type: 'client',
    issuer: issuerUrl,
    subject: 'payments',
    clientId: 'payments',
    tenant: 'default',
    scopes: ['data:read'],
    roles: [],
  })
})

test('a route that declares nobody is closed to everybody; a public one is open', async () => {
  expect((await knock('forgotten', await token())).status).toBe(403)
  expect((await knock('forgotten')).status).toBe(403)
  expect((await knock('open')).status).toBe(200)
})

describe('refused with 401 and nothing said of why', () => {
  const unsigned = (claims: object) =>
    `${Buffer.from('{"alg":"none","typ":"at+jwt"}').toString('base64url')}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.`
  const cases: [string, () => Promise<string> | string][] = [
    [
      'algorithm none',
      () =>
        unsigned({
          iss: issuerUrl,
          aud: 'vigil',
          sub: 'x',
          client_id: 'x',
          tenant: 'default',
          exp: now() + 60,
        }),
    ],
    [
      'HS256 with the public key as secret',
      async () => token({ header: { alg: 'HS256' }, key: Buffer.from(await exportSPKI(keys.publicKey)) }),
    ],
    ['another key', () => token({ key: stranger.privateKey })],
    [
      'a key inside the token',
      async () => token({ key: stranger.privateKey, header: { jwk: await exportJWK(stranger.publicKey) } }),
    ],
    [
      'a key address inside the token',
      () => token({ key: stranger.privateKey, header: { jku: 'http://127.0.0.1:1/keys' } }),
    ],
    ['another issuer', () => token({ claims: { iss: 'http://elsewhere.example' } })],
    ['another audience', () => token({ claims: { aud: 'other' } })],
    ['an ID token', () => token({ header: { typ: 'JWT' } })],
    ['expired', () => token({ claims: { exp: now() - 60 } })],
    ['not yet valid', () => token({ claims: { nbf: now() + 120 } })],
    ['without an end', () => token({ claims: { exp: undefined } })],
    ['without a tenant', () => token({ claims: { tenant: undefined } })],
    ['a path as key id', () => token({ header: { kid: '../../etc/passwd' } })],
    ['SQL as key id', () => token({ header: { kid: "' OR 1=1" } })],
    ['no token at all', () => 'nonsense'],
  ]
  test.each(cases)('%s', async (_case, make) => {
    const response = await knock('guarded', await make())
    expect(response.status).toBe(401)
    expect(response.headers.get('www-authenticate')).toBe('Bearer realm="vigil", error="invalid_token"')
    expect(await response.json()).toMatchObject({
      type: 'urn:vigil:problem:unauthenticated',
      detail: 'The access token is not valid',
    })
  })
})

test('a flood of invented key ids costs the issuer no more than one request', async () => {
  await knock('guarded', await token())
  const before = fetches
  const statuses = await Promise.all(
    Array.from(
      { length: 200 },
      async (_, at) => (await knock('guarded', await token({ header: { kid: `invented-${at}` } }))).status,
    ),
  )
  expect(new Set(statuses)).toEqual(new Set([401]))
  expect(fetches - before).toBeLessThanOrEqual(1)
})

test('a missing scope is named', async () => {
  const response = await knock('guarded', await token({ claims: { scope: 'audit:read' } }))
  expect(response.status).toBe(403)
  expect(response.headers.get('www-authenticate')).toContain('error="insufficient_scope", scope="data:read"')
})

test('deciding is plain arithmetic over scopes', () => {
  const principal = principalOf({ iss: 'i', sub: 's', client_id: 'c', tenant: 't', scope: 'a b' })!
  expect(authorize(principal, ['a', 'b'])).toEqual({ allowed: true })
  expect(authorize(principal, ['a', 'c'])).toEqual({ allowed: false, missing: ['c'] })
  expect(principalOf({ iss: 'i', sub: 's', client_id: 'c', tenant: 7 })).toBeUndefined()
})

test('who acts is the person where there is one, else the client', () => {
  const claims = { iss: 'i', client_id: 'console', tenant: 't', scope: '' }
  expect(principalOf({ ...claims, sub: 'console' })?.actor()).toEqual({ type: 'client', id: 'console' })
  const person = principalOf({ ...claims, sub: 'u-1', roles: ['auditor', 7, ''] })
  expect(person?.actor()).toEqual({ type: 'user', id: 'u-1' })
  expect(person?.roles).toEqual(['auditor'])
})
