import { connect, type Socket } from 'node:net'
import { Body, Controller, Get, Module, Post, Query } from '@nestjs/common'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { BaseConfig } from './config.js'
import { createLogger } from './logger.js'
import { type RunningService, startService } from './service.js'

@Controller('echo')
class EchoController {
  @Post()
  echo(@Body() body: unknown) {
    return { kind: typeof body }
  }

  @Get()
  search(@Query({ schema: z.strictObject({ q: z.string().max(8).optional() }) }) query: object) {
    return query
  }
}

@Module({ controllers: [EchoController] })
class EchoModule {}

let service: RunningService
const lines: string[] = []
const sockets: Socket[] = []
beforeAll(async () => {
  const times = { HEADERS_TIMEOUT_MS: '400', BODY_TIMEOUT_MS: '400', DRAIN_DELAY_MS: '0' }
  service = await startService({
    name: 'fraud',
    title: 'Echo',
    module: EchoModule,
    config: BaseConfig.parse({
      DATABASE_URL: 'postgres://x@127.0.0.1/x',
      CORS_ORIGINS: 'https://console.example.org',
      ...times,
    }),
    logger: createLogger('fraud', 'debug', { write: (line: string) => void lines.push(line) }),
    checks: {},
  })
})
afterAll(async () => {
  for (const socket of sockets) socket.destroy()
  await service.stop()
})

function open(): Promise<Socket> {
  const { hostname, port } = new URL(service.url)
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => resolve(socket))
    socket.on('error', reject)
    sockets.push(socket)
  })
}
/** Everything that comes until the server closes. */
const untilClosed = (socket: Socket): Promise<string> =>
  new Promise((resolve) => {
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk
    })
    socket.on('close', () => resolve(text))
  })
/** Sends a byte now and then for as long as the server listens. */
function drip(socket: Socket, byte: string): void {
  const timer = setInterval(() => socket.write(byte), 50)
  socket.on('close', () => clearInterval(timer))
  socket.removeAllListeners('error').on('error', () => clearInterval(timer))
}
const post = (body: string | Uint8Array, headers: Record<string, string> = {}) =>
  fetch(`${service.url}/echo`, {
    method: 'POST',
    body: body as string,
    headers: { 'content-type': 'application/json', ...headers },
  })

describe('a slow sender', () => {
  test('of headers is told so and hung up on', async () => {
    const socket = await open()
    const answer = untilClosed(socket)
    socket.write('POST /echo HTTP/1.1\r\nhost: x\r\nx-slow: ')
    drip(socket, 'a')
    expect(await answer).toMatch(
      /^HTTP\/1\.1 408 [\s\S]*application\/problem\+json[\s\S]*urn:vigil:problem:timeout/,
    )
  })

  test('of a body is told so and hung up on', async () => {
    const socket = await open()
    const answer = untilClosed(socket)
    socket.write(
      'POST /echo HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n[',
    )
    drip(socket, ' ')
    const text = await answer
    expect(text).toMatch(/^HTTP\/1\.1 408 /)
    expect(text).toMatch(/x-content-type-options: nosniff/)
    expect(text).toMatch(/connection: close/i)
  })

  test('of what nobody reads is hung up on after the answer', async () => {
    const socket = await open()
    const answer = untilClosed(socket)
    socket.write('POST /echo HTTP/1.1\r\nhost: x\r\ncontent-type: image/png\r\ncontent-length: 1000\r\n\r\n')
    drip(socket, 'x')
    expect(await answer).toMatch(/^HTTP\/1\.1 415 /)
  })

  test('does not keep others waiting, nor do two thousand who say nothing', async () => {
    const idle = await Promise.all(Array.from({ length: 2_000 }, open))
    const slow = await Promise.all(Array.from({ length: 100 }, open))
    for (const socket of slow) socket.write('POST /echo HTTP/1.1\r\nhost: x\r\n')
    const answers = await Promise.all(Array.from({ length: 50 }, () => post('{}')))
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([201]))
    expect(idle.some((socket) => socket.destroyed)).toBe(false)
    for (const socket of [...idle, ...slow]) socket.destroy()
  })
})

describe('JSON that is made to hurt', () => {
  const repeat = (count: number, make: (at: number) => string) =>
    Array.from({ length: count }, (_, at) => make(at)).join(',')
  const cases: [string, () => string | Uint8Array, number][] = [
    ['200,000 nested arrays', () => '['.repeat(200_000) + ']'.repeat(200_000), 400],
    ['a string of ten megabytes', () => `"${'x'.repeat(10_000_000)}"`, 413],
    ['a million members', () => `{${repeat(1_000_000, (at) => `"k${at}":1`)}}`, 413],
    ['members past the limit in a body within it', () => `{${repeat(20_000, (at) => `"k${at}":1`)}}`, 400],
    ['a member twice', () => '{"amount":1,"amount":1000}', 400],
    ['2^53 + 1', () => '{"amount":9007199254740993}', 400],
    ['__proto__', () => '{"__proto__":{"admin":true}}', 400],
    ['constructor.prototype', () => '{"constructor":{"prototype":{"admin":true}}}', 400],
    ['UTF-16', () => Buffer.from('{"a":1}', 'utf16le'), 400],
    ['a byte order mark', () => '\ufeff{"a":1}x', 400],
  ]
  test.each(cases)('%s is refused', async (_case, body, status) => {
    lines.length = 0
    const response = await post(body())
    expect(response.status).toBe(status)
    expect(response.headers.get('content-type')).toMatch(/^application\/problem\+json/)
    expect((await response.text()).length).toBeLessThan(1_000)
    expect(({} as { admin?: unknown }).admin).toBeUndefined()
    for (const line of lines) expect(line.length).toBeLessThan(2_000)
  })

  test('a member twice is named', async () => {
    const { errors } = (await (await post('{"a":[{"amount":1,"amount":2}]}')).json()) as { errors: unknown }
    expect(errors).toEqual([{ pointer: '/a/0/amount', detail: 'comes twice in one object' }])
  })
})

describe('headers', () => {
  test('more than a hundred are refused', async () => {
    const many = Object.fromEntries(Array.from({ length: 101 }, (_, at) => [`x-${at}`, '1']))
    const response = await post('{}', many)
    expect(response.status).toBe(431)
    expect(response.headers.get('content-type')).toMatch(/^application\/problem\+json/)
  })

  test('more than 16 KiB are refused with a problem', async () => {
    const socket = await open()
    const answer = untilClosed(socket)
    socket.write(`GET /echo HTTP/1.1\r\nhost: x\r\nx: ${'a'.repeat(20_000)}\r\n\r\n`)
    expect(await answer).toMatch(/^HTTP\/1\.1 431 [\s\S]*application\/problem\+json/)
  })

  test.each([
    ['two lengths', 'content-length: 5\r\ncontent-length: 6\r\n\r\nhello'],
    ['a length and chunks', 'content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled'],
    ['a space before the colon', 'content-length : 5\r\n\r\nhello'],
    ['a header without a name', ': x\r\n\r\n'],
  ])('%s are no request (smuggling)', async (_case, rest) => {
    const socket = await open()
    const answer = untilClosed(socket)
    socket.write(`POST /echo HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n${rest}`)
    expect(await answer).toMatch(/^HTTP\/1\.1 400 /)
  })

  test('every answer carries those that browsers need to be strict', async () => {
    for (const path of ['/health', '/echo', '/nothing', '/echo?q=too+long+a+text', '/openapi.json']) {
      const { headers } = await fetch(`${service.url}${path}`)
      expect([path, headers.get('x-content-type-options'), headers.get('x-frame-options')]).toEqual([
        path,
        'nosniff',
        'DENY',
      ])
      expect(headers.get('content-security-policy')).toMatch(/frame-ancestors 'none'/)
      expect(headers.get('referrer-policy')).toBe('no-referrer')
      expect(headers.get('x-correlation-id')).toMatch(/^[0-9a-f-]{36}$/)
      expect(headers.get('x-powered-by')).toBeNull()
      expect(headers.get('server')).toBeNull()
      expect(headers.get('strict-transport-security')).toBeNull()
    }
  })
})

describe('other origins', () => {
  const ask = (origin: string) =>
    fetch(`${service.url}/echo`, {
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization,content-type',
      },
    })

  test('one of the list may call, without cookies', async () => {
    const { status, headers } = await ask('https://console.example.org')
    expect(status).toBe(204)
    expect(headers.get('access-control-allow-origin')).toBe('https://console.example.org')
    expect(headers.get('access-control-allow-headers')).toMatch(/authorization/)
    expect(headers.get('access-control-allow-credentials')).toBeNull()
    expect(headers.get('vary')).toMatch(/origin/i)
    const real = await post('{}', { origin: 'https://console.example.org' })
    expect(real.headers.get('access-control-expose-headers')).toMatch(/ratelimit/)
  })

  test.each([
    'https://evil.example',
    'null',
    'https://console.example.org.evil.example',
    'http://console.example.org',
  ])('%s may not', async (origin) => {
    expect((await ask(origin)).headers.get('access-control-allow-origin')).toBeNull()
    expect((await post('{}', { origin })).headers.get('access-control-allow-origin')).toBeNull()
  })

  test.each(['*', 'null', 'console.example.org', 'https://a.example/', 'https://a.example,'])(
    'the configuration %s is refused',
    (CORS_ORIGINS) => {
      expect(BaseConfig.safeParse({ DATABASE_URL: 'postgres://x@h/x', CORS_ORIGINS }).success).toBe(false)
    },
  )
})

describe('a log line', () => {
  test.each([
    ['a line feed', 'x\n{"level":"info","msg":"forged"}'],
    ['an escape sequence', '\u001b[2J\u001b[31mred'],
    ['line separators', 'a\u2028b\u2029c\u0085d'],
    ['text that turns around', 'safe\u202eexe.txt\u2066'],
    ['NUL', 'a\u0000b'],
  ])('stays one line of printable JSON with %s in it', (_case, text) => {
    const own: string[] = []
    createLogger('fraud', 'info', { write: (line: string) => void own.push(line) }).info(
      { value: text },
      text,
    )
    expect(own).toHaveLength(1)
    const line = own[0]!.replace(/\n$/, '')
    expect(line).toMatch(/^[\x20-\x7e]*$/)
    const { value, msg } = JSON.parse(line)
    expect([value, msg]).toEqual([text, text])
  })
})
