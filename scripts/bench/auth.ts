import 'reflect-metadata'
import { spawn, spawnSync } from 'node:child_process'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Controller, Get, Module } from '@nestjs/common'
import { decodeJwt, exportJWK, generateKeyPair, jwtVerify, SignJWT } from 'jose'
import { AuthModule, Public, Scopes, type TokenPolicy } from '#libs/auth'
import { BaseConfig, createLogger, type RunningService, startService } from '#libs/platform'
import { TokenCache } from '../../libs/auth/src/token-cache.js'
import { machine, type Row, report } from './report.js'

const ROUNDS = 3
const SECONDS = 3
const CONNECTIONS = 16

@Controller()
class DoorsController {
  @Get('open')
  @Public('nothing is behind it')
  open() {
    return { door: 'open' }
  }

  @Get('guarded')
  @Scopes('data:read')
  guarded() {
    return { door: 'guarded' }
  }
}

async function issue() {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true })
  const jwk = { ...(await exportJWK(publicKey)), kid: 'k', alg: 'ES256', use: 'sig' }
  const server: Server = createServer((_request, response) =>
    response.setHeader('content-type', 'application/json').end(JSON.stringify({ keys: [jwk] })),
  )
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const token = await new SignJWT({
    client_id: 'payments',
    tenant: 'default',
    scope: 'ai:inference data:read',
  })
    .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid: 'k' })
    .setIssuer(issuer)
    .setSubject('payments')
    .setAudience('vigil')
    .setJti('0190a1b2-0000-7000-8000-000000000000')
    .setIssuedAt()
    .setExpirationTime('1h')
    .sign(privateKey)
  return { issuer, token, publicKey, close: () => server.close() }
}

/** Microseconds for one call, the best of the rounds. */
async function cost(call: () => unknown, times: number): Promise<number> {
  let best = Number.POSITIVE_INFINITY
  for (let round = 0; round < ROUNDS; round++) {
    const start = process.hrtime.bigint()
    for (let at = 0; at < times; at++) await call()
    best = Math.min(best, Number(process.hrtime.bigint() - start) / 1_000 / times)
  }
  return Math.round(best * 10) / 10
}

async function serve(policy: TokenPolicy): Promise<RunningService> {
  @Module({ imports: [AuthModule.with(policy)], controllers: [DoorsController] })
  class DoorsModule {}
  return startService({
    name: 'fraud',
    title: 'Doors',
    module: DoorsModule,
    config: BaseConfig.parse({ DATABASE_URL: 'postgres://x@127.0.0.1/x', DRAIN_DELAY_MS: '0' }),
    logger: createLogger('fraud', 'silent'),
    checks: {},
  })
}

/** Requests a second of one route, by wrk from another process. */
function load(url: string, token: string): Promise<number> {
  const header = `Authorization: Bearer ${token}`
  const args = ['-t1', `-c${CONNECTIONS}`, `-d${SECONDS}s`, '-H', header, url]
  return new Promise((resolve, reject) => {
    const child = spawn('wrk', args, { stdio: ['ignore', 'pipe', 'inherit'] })
    const chunks: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
    child.on('error', reject)
    child.on('close', () => {
      const text = Buffer.concat(chunks).toString()
      if (/Non-2xx/.test(text)) return reject(new Error(`${url} refused`))
      resolve(Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1] ?? 0))
    })
  })
}

const median = (values: number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0

async function measureRoutes(policy: TokenPolicy, token: string): Promise<Row[]> {
  const [each, remembering] = [await serve({ ...policy, remembered: 0 }), await serve(policy)]
  const routes: [string, string][] = [
    ['open route', `${remembering.url}/open`],
    ['guarded, verified each time', `${each.url}/guarded`],
    ['guarded, remembered', `${remembering.url}/guarded`],
  ]
  const rates = new Map<string, number[]>(routes.map(([name]) => [name, []]))
  for (let round = 0; round < ROUNDS; round++)
    for (const [name, url] of routes) rates.get(name)!.push(await load(url, token))
  await Promise.all([each.stop(), remembering.stop()])
  const open = median(rates.get('open route')!)
  return routes.map(([name]) => {
    const rate = median(rates.get(name)!)
    return {
      route: name,
      'requests/s': Math.round(rate),
      'of open': `${Math.round((rate / open) * 100)} %`,
      'us/request more': Math.round((1e6 / rate - 1e6 / open) * 10) / 10,
    }
  })
}

async function main(): Promise<void> {
  const where = machine()
  const { issuer, token, publicKey, close } = await issue()
  const cache = new TokenCache<{ expiresAt: number; claims: object }>(10_000, 60_000)
  cache.put(token, { expiresAt: Date.now() + 3_600_000, claims: decodeJwt(token) }, Date.now())
  const rows = [
    {
      step: 'verify the ES256 signature and claims (jose)',
      us: await cost(() => jwtVerify(token, publicKey, { issuer, audience: 'vigil', typ: 'at+jwt' }), 2_000),
    },
    { step: 'find it among what was remembered', us: await cost(() => cache.get(token, Date.now()), 50_000) },
  ]
  report({ title: 'A token', machine: where, rows })
  if (spawnSync('wrk', ['-v']).error) console.log('  (wrk is not installed: routes are not measured)')
  else {
    const policy = { issuer, audience: 'vigil', jwksUrl: issuer }
    const title = `A route that does nothing, ${CONNECTIONS} connections, median of ${ROUNDS} x ${SECONDS} s`
    report({ title, machine: where, rows: await measureRoutes(policy, token) })
  }
  close()
}

await main()
