import { copyFileSync, readFileSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { connect } from 'node:tls'
import { Controller, Get, Module, Req } from '@nestjs/common'
import type { FastifyRequest } from 'fastify'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import {
  type Authority,
  type Certificate,
  createAuthority,
  hasOpenssl,
} from '../../../test/support/certificates.js'
import { BaseConfig } from './config.js'
import { createLogger } from './logger.js'
import { type RunningService, startService } from './service.js'
import { clientCertificate, tlsFiles } from './tls.js'

@Controller('whoami')
class WhoController {
  @Get()
  who(@Req() request: FastifyRequest) {
    return clientCertificate(request.raw.socket)
  }
}

@Module({ controllers: [WhoController] })
class WhoModule {}

let ours: Authority
let theirs: Authority
let server: Certificate
beforeAll(() => {
  if (!hasOpenssl) return
  ours = createAuthority()
  theirs = createAuthority()
  server = ours.issue('server')
})
afterAll(() => {
  ours?.remove()
  theirs?.remove()
})

async function serve(settings: Record<string, string>): Promise<RunningService> {
  const service = await startService({
    name: 'fraud',
    title: 'Who',
    module: WhoModule,
    config: BaseConfig.parse({ DATABASE_URL: 'postgres://x@127.0.0.1/x', DRAIN_DELAY_MS: '0', ...settings }),
    logger: createLogger('fraud', 'silent'),
    checks: {},
  })
  onTestFinished(() => service.stop())
  return service
}
const files = (more: Record<string, string> = {}) => ({ TLS_CERT: server.cert, TLS_KEY: server.key, ...more })

interface Answer {
  status: number | undefined
  headers: Record<string, string | string[] | undefined>
  body: Record<string, unknown>
}
function get(url: string, client?: Certificate): Promise<Answer> {
  const identity = client ? { cert: readFileSync(client.cert), key: readFileSync(client.key) } : {}
  const agent = new Agent({
    ca: readFileSync(ours.cert),
    keepAlive: false,
    maxCachedSessions: 0,
    ...identity,
  })
  return new Promise((resolve, reject) => {
    request(url, { agent }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
      response.on('end', () =>
        resolve({ status: response.statusCode, headers: response.headers, body: JSON.parse(text) }),
      )
    })
      .on('error', reject)
      .end()
  })
}

test('half a configuration is an error, none is plain HTTP', () => {
  expect(tlsFiles({ TLS_CERT: undefined, TLS_KEY: undefined, TLS_CLIENT_CA: undefined })).toBeUndefined()
  for (const half of [{ TLS_CERT: 'a' }, { TLS_KEY: 'a' }, { TLS_CLIENT_CA: 'a' }])
    expect(() =>
      tlsFiles({ TLS_CERT: undefined, TLS_KEY: undefined, TLS_CLIENT_CA: undefined, ...half }),
    ).toThrow(/TLS_CERT and TLS_KEY together/)
})

describe.skipIf(!hasOpenssl)('TLS', () => {
  test('is spoken from version 1.2 on, with forward secrecy, and asks browsers to stay', async () => {
    const { url } = await serve(files())
    expect(url).toMatch(/^https:/)
    const answer = await get(`${url}/health`)
    expect(answer.status).toBe(200)
    expect(answer.headers['strict-transport-security']).toMatch(/^max-age=31536000/)
    const { port } = new URL(url)
    const shake = (options: object) =>
      new Promise<string>((resolve) => {
        const socket = connect({
          host: '127.0.0.1',
          port: Number(port),
          rejectUnauthorized: false,
          ...options,
        })
        socket.on('secureConnect', () => resolve(socket.end().getProtocol() ?? ''))
        socket.on('error', () => resolve('refused'))
      })
    expect(await shake({})).toBe('TLSv1.3')
    expect(await shake({ maxVersion: 'TLSv1.2' })).toBe('TLSv1.2')
    expect(await shake({ minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL@SECLEVEL=0' })).toBe(
      'refused',
    )
    expect(await shake({ maxVersion: 'TLSv1.2', ciphers: 'AES128-GCM-SHA256' })).toBe('refused')
  })

  test('a key of another certificate is refused at the start, without a word of what is in it', async () => {
    const { key } = ours.issue('another')
    await expect(serve(files({ TLS_KEY: key }))).rejects.toThrow(/not a certificate and its key/)
    await expect(serve(files({ TLS_KEY: '/nonexistent' }))).rejects.toThrow('TLS_KEY cannot be read (ENOENT)')
  })

  test('a renewed certificate is taken on SIGHUP; one that does not fit is not', async () => {
    const [first, second] = [ours.issue('first'), ours.issue('second')]
    const { url } = await serve({ TLS_CERT: first.cert, TLS_KEY: first.key })
    const served = () =>
      new Promise<string>((resolve, reject) => {
        const socket = connect({
          host: '127.0.0.1',
          port: Number(new URL(url).port),
          rejectUnauthorized: false,
        })
        socket.on('secureConnect', () => resolve(String(socket.end().getPeerCertificate().subject.CN)))
        socket.on('error', reject)
      })
    expect(await served()).toBe('first')
    copyFileSync(second.cert, first.cert)
    process.emit('SIGHUP', 'SIGHUP')
    expect(await served()).toBe('first')
    copyFileSync(second.key, first.key)
    process.emit('SIGHUP', 'SIGHUP')
    expect(await served()).toBe('second')
  })
})

describe.skipIf(!hasOpenssl)('mutual TLS', () => {
  test('lets in who has a certificate of our authority, and tells its thumbprint', async () => {
    const { url } = await serve(files({ TLS_CLIENT_CA: ours.cert }))
    const clinic = ours.issue('clinic')
    expect((await get(`${url}/whoami`, clinic)).body).toEqual({
      state: 'trusted',
      thumbprint: clinic.thumbprint,
    })
  })

  test('nobody else, but probes without any', async () => {
    const { url } = await serve(files({ TLS_CLIENT_CA: ours.cert }))
    expect(await get(`${url}/whoami`)).toMatchObject({
      status: 401,
      headers: { 'content-type': 'application/problem+json; charset=utf-8' },
      body: { detail: 'A client certificate is needed' },
    })
    expect((await get(`${url}/metrics`)).status).toBe(401)
    expect((await get(`${url}/health`)).status).toBe(200)
    for (const path of ['/whoami', '/health'])
      expect(await get(`${url}${path}`, theirs.issue('clinic'))).toMatchObject({
        status: 401,
        body: { detail: 'The client certificate is not of our authority' },
      })
  })

  test('can be optional, for those whose tokens are not bound to a certificate', async () => {
    const { url } = await serve(files({ TLS_CLIENT_CA: ours.cert, TLS_CLIENT_AUTH: 'optional' }))
    expect((await get(`${url}/whoami`)).body).toEqual({ state: 'none' })
    expect((await get(`${url}/whoami`, theirs.issue('x'))).status).toBe(401)
  })
})
