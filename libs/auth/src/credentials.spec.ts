import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { request as httpsRequest } from 'node:https'
import { text } from 'node:stream/consumers'
import { Controller, Get, Module } from '@nestjs/common'
import { OAuth2Server } from 'oauth2-mock-server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { BaseConfig, createLogger, type RunningService, startService } from '#libs/platform'
import {
  type Authority,
  type Certificate,
  createAuthority,
  hasOpenssl,
} from '../../../test/support/certificates.js'
import { type Issuer, startIssuer } from '../../../test/support/issuer.js'
import { newApiKey } from './api-key.js'
import { AuthModule } from './auth.module.js'
import { MtlsProxies } from './certificate.js'
import { Caller, Scopes } from './decorators.js'
import { IssuerPolicy } from './issuer-policy.js'
import { Principal } from './principal.js'
import type { TokenPolicy } from './token-policy.js'

@Controller()
class DoorController {
  @Get('guarded')
  @Scopes('data:read')
  guarded(@Caller() caller: Principal) {
    return caller
  }
}

/** A service with one guarded route. */
async function serve(policy: TokenPolicy, settings: Record<string, string> = {}): Promise<RunningService> {
  @Module({ imports: [AuthModule.with(policy)], controllers: [DoorController] })
  class DoorsModule {}
  return startService({
    name: 'fraud',
    title: 'Doors',
    module: DoorsModule,
    config: BaseConfig.parse({
      DATABASE_URL: 'postgres://x@127.0.0.1/x',
      DRAIN_DELAY_MS: '0',
      ...settings,
    }),
    logger: createLogger('fraud', 'silent'),
    checks: {},
  })
}

let ours: Issuer
const own = () => ({ issuer: ours.url, audience: 'vigil', jwksUrl: `${ours.url}/.well-known/jwks.json` })
beforeAll(async () => {
  ours = await startIssuer()
})
afterAll(() => ours?.stop())

const knock = (service: RunningService, headers: Record<string, string>) =>
  fetch(`${service.url}/guarded`, { headers })
const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

describe('another issuer, of another make', () => {
  const theirs = new OAuth2Server()
  let service: RunningService
  beforeAll(async () => {
    await theirs.issuer.keys.generate('RS256')
    await theirs.issuer.keys.generate('ES384')
    await theirs.start(0, '127.0.0.1')
    const policy = IssuerPolicy.parse({
      issuer: theirs.issuer.url,
      name: 'bank',
      audience: 'vigil-api',
      algorithms: ['RS256'],
      types: ['JWT'],
      claims: { tenant: { value: 'north' }, client_id: '/azp', roles: '/groups' },
      roles: { fraud: 'analyst' },
    })
    service = await serve({ ...own(), external: [policy] })
  })
  afterAll(async () => {
    await service?.stop()
    await theirs.stop()
  })
  const token = (claims: Record<string, unknown> = {}, alg = 'RS256') =>
    theirs.issuer.buildToken({
      kid: theirs.issuer.keys.toJSON().find((key) => key.alg === alg)!.kid as string,
      scopesOrTransform: (_header, payload) => {
        Object.assign(payload, { sub: 'ana', azp: 'desk', aud: 'vigil-api', groups: ['fraud'], ...claims })
      },
    })

  test('is found by discovery; its claims become ours', async () => {
    const answer = await knock(service, bearer(await token()))
    expect(answer.status).toBe(200)
    expect(await answer.json()).toMatchObject({
      type: 'user',
      issuer: theirs.issuer.url,
      subject: 'bank:ana',
      clientId: 'bank:desk',
      tenant: 'north',
      roles: ['analyst'],
      scopes: ['data:read', 'fraud:review'],
    })
    expect((await knock(service, bearer(await ours.token({ scopes: ['data:read'] })))).status).toBe(200)
  })

  test('cannot speak for us, for another audience, in another algorithm, or as long as it likes', async () => {
    const wrong = [
      await token({ iss: ours.url }),
      await token({ aud: 'vigil' }),
      await token({ aud: undefined }),
      await token({}, 'ES384'),
      await token({ exp: 1 }),
      await token({ exp: undefined }),
      await token({ azp: undefined }),
      await ours.token({ scopes: ['data:read'], claims: { iss: theirs.issuer.url, aud: 'vigil-api' } }),
      await ours.token({ scopes: ['data:read'], claims: { aud: 'vigil-api' } }),
    ]
    for (const [at, text] of wrong.entries())
      expect((await knock(service, bearer(text))).status, `case ${at}`).toBe(401)
  })

  test('gives nothing for a role that is not mapped', async () => {
    expect((await knock(service, bearer(await token({ groups: ['analyst'] })))).status).toBe(403)
  })
})

describe.skipIf(!hasOpenssl)('a token that is bound to a certificate (RFC 8705)', () => {
  let authority: Authority
  let service: RunningService
  let certificates: Record<'clinic' | 'other', Certificate>
  const boundTo = (name: 'clinic' | 'other') =>
    ours.token({
      scopes: ['data:read'],
      claims: { cnf: { 'x5t#S256': certificates[name].thumbprint } },
    })
  const fieldOf = (name: 'clinic' | 'other') =>
    `:${new X509Certificate(readFileSync(certificates[name].cert)).raw.toString('base64')}:`

  beforeAll(async () => {
    authority = createAuthority()
    const server = authority.issue('server')
    certificates = { clinic: authority.issue('clinic'), other: authority.issue('other') }
    service = await serve(own(), {
      ...{ TLS_CERT: server.cert, TLS_KEY: server.key },
      ...{ TLS_CLIENT_CA: authority.cert, TLS_CLIENT_AUTH: 'optional' },
    })
  })
  afterAll(async () => {
    await service?.stop()
    authority?.remove()
  })

  /** Over a new TLS connection, with the certificate of `name` if any. */
  const knockAs = async (...knocking: Parameters<typeof answerTo>) => (await answerTo(...knocking)).status
  const answerTo = (
    name: 'clinic' | 'other' | undefined,
    token: string,
    headers: Record<string, string> = {},
  ) =>
    new Promise<{ status: number; body: string }>((resolve, reject) => {
      const shown = name && {
        cert: readFileSync(certificates[name].cert),
        key: readFileSync(certificates[name].key),
      }
      const url = new URL('/guarded', service.url)
      const options = { ...shown, ca: readFileSync(authority.cert), agent: false as const }
      httpsRequest(url, { ...options, headers: { ...bearer(token), ...headers } }, (response) => {
        const { statusCode: status = 0 } = response
        text(response).then((body) => resolve({ status, body }), reject)
      })
        .on('error', reject)
        .end()
    })

  test('opens the door for its own certificate, for no other, and not without', async () => {
    const token = await boundTo('clinic')
    expect(await knockAs('clinic', token)).toBe(200)
    // What was remembered of the token is not what was shown with it.
    expect(await knockAs('other', token)).toBe(401)
    expect(await knockAs(undefined, token)).toBe(401)
    expect(await knockAs('clinic', token)).toBe(200)
    expect(await knockAs('other', await ours.token({ scopes: ['data:read'] }))).toBe(200)
  })

  test('says that the certificate is what was missing, or another', async () => {
    const token = await boundTo('clinic')
    expect((await answerTo(undefined, token)).body).toContain('bound to a client certificate: none was shown')
    expect((await answerTo('other', token)).body).toContain('bound to a client certificate: this is another')
  })

  test('a header says nothing where no proxy is trusted', async () => {
    const field = fieldOf('clinic')
    expect(await knockAs('other', await boundTo('clinic'), { 'client-cert': field })).toBe(401)
  })

  test('a confirmation that we do not know cannot be given to us', async () => {
    const token = await ours.token({ scopes: ['data:read'], claims: { cnf: { jkt: 'x' } } })
    expect(await knockAs('clinic', token)).toBe(401)
  })

  test('behind a trusted proxy the header counts; from anybody else it does not', async () => {
    const field = fieldOf('clinic')
    const token = await boundTo('clinic')
    const behind = await serve({ ...own(), proxies: MtlsProxies.parse('127.0.0.1') })
    const beside = await serve({ ...own(), proxies: MtlsProxies.parse('192.0.2.1') })
    expect((await knock(behind, { ...bearer(token), 'client-cert': field })).status).toBe(200)
    expect((await knock(behind, bearer(token))).status).toBe(401)
    expect((await knock(beside, { ...bearer(token), 'client-cert': field })).status).toBe(401)
    await Promise.all([behind.stop(), beside.stop()])
  })
})

describe('an API key', () => {
  const { text } = newApiKey()
  let service: RunningService
  beforeAll(async () => {
    const fields = { issuer: 'api-key', subject: 'clinic', clientId: 'clinic', tenant: 'default' }
    const clinic = new Principal({ type: 'client', ...fields, scopes: ['data:read'] })
    service = await serve({ ...own(), apiKeys: { find: async (key) => (key === text ? clinic : undefined) } })
  })
  afterAll(() => service?.stop())

  test('opens what its scopes open; a wrong one, or one beside a token, nothing', async () => {
    expect(await (await knock(service, { 'x-api-key': text })).json()).toMatchObject({ clientId: 'clinic' })
    const wrong = await knock(service, { 'x-api-key': `${text}x` })
    expect(wrong.status).toBe(401)
    expect(await wrong.json()).toMatchObject({ detail: 'The API key is not valid' })
    const token = await ours.token({ scopes: ['data:read'] })
    expect((await knock(service, { 'x-api-key': text, ...bearer(token) })).status).toBe(401)
  })
})
