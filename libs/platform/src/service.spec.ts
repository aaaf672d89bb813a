import { request } from 'node:http'
import { connect } from 'node:net'
import { Body, Controller, Get, Inject, Module, Post } from '@nestjs/common'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { BaseConfig } from './config.js'
import { correlation } from './correlation.js'
import { createLogger } from './logger.js'
import { problems } from './problem.js'
import { type RunningService, startService } from './service.js'

const Note = z.strictObject({ text: z.string().max(5), nested: z.strictObject({ n: z.number() }).optional() })

@Controller('notes')
class NotesController {
  constructor(@Inject('GREETING') private readonly greeting: string) {}

  @Get('fail')
  fail(): void {
    throw new Error('CANARY in the message')
  }

  @Get('conflict')
  conflict(): void {
    throw problems.conflict({ detail: 'Already there' })
  }

  @Get('slow')
  async slow() {
    await new Promise((resolve) => setTimeout(resolve, 300))
    return { done: true }
  }

  @Post()
  create(@Body({ schema: Note }) note: z.infer<typeof Note>) {
    return { ...note, greeting: this.greeting, correlation: correlation().correlationId }
  }
}

@Module({ controllers: [NotesController], providers: [{ provide: 'GREETING', useValue: 'hello' }] })
class NotesModule {}

describe('a service', () => {
  let service: RunningService
  const lines: string[] = []
  let healthy = true

  beforeAll(async () => {
    service = await startService({
      name: 'fraud',
      title: 'Notes',
      module: NotesModule,
      config: BaseConfig.parse({ DATABASE_URL: 'postgres://x@127.0.0.1/x', DRAIN_DELAY_MS: '50' }),
      logger: createLogger('fraud', 'info', { write: (line: string) => void lines.push(line) }),
      checks: { database: async () => (healthy ? undefined : Promise.reject(new Error('down'))) },
      bodyLimit: 1000,
    })
  })
  afterAll(() => service.stop())

  const post = (body: string, type = 'application/json') =>
    fetch(`${service.url}/notes`, { method: 'POST', body, headers: { 'content-type': type } })

  test('validates by the route schema and keeps the correlation ID through the body parser', async () => {
    const id = '01890a5d-ac96-774b-bcce-b302099a8057'
    const response = await fetch(`${service.url}/notes`, {
      method: 'POST',
      body: JSON.stringify({ text: 'ok' }),
      headers: { 'content-type': 'application/json', 'x-correlation-id': id },
    })
    expect(response.status).toBe(201)
    expect(response.headers.get('x-correlation-id')).toBe(id)
    expect(await response.json()).toEqual({ text: 'ok', greeting: 'hello', correlation: id })
  })

  test.each(['gzip', 'br', 'gzip, identity'])(
    'refuses a body in the encoding %s by its name',
    async (encoding) => {
      const headers = { 'content-type': 'application/json', 'content-encoding': encoding }
      const response = await fetch(`${service.url}/notes`, { method: 'POST', body: '{"text":"a"}', headers })
      expect(response.status).toBe(415)
      expect(response.headers.get('accept-encoding')).toBe('identity')
      expect(await response.json()).toMatchObject({ detail: expect.stringContaining(encoding) })
    },
  )

  test('takes a body in the encoding identity', async () => {
    const headers = { 'content-type': 'application/json', 'content-encoding': 'identity' }
    const response = await fetch(`${service.url}/notes`, { method: 'POST', body: '{"text":"a"}', headers })
    expect(response.status).toBe(201)
  })

  test.each([
    ['a missing field', '{}', 400, '/text'],
    ['a long field', '{"text":"123456"}', 400, '/text'],
    ['an unknown field', '{"text":"a","extra":1}', 400, '/extra'],
    ['a nested unknown field', '{"text":"a","nested":{"n":1,"m":2}}', 400, '/nested/m'],
    ['no JSON', '{"text":', 400, ''],
    ['NaN', '{"text":NaN}', 400, ''],
  ])('%s is a problem that names the place', async (_case, body, status, pointer) => {
    const response = await post(body)
    expect(response.status).toBe(status)
    expect(response.headers.get('content-type')).toMatch(/^application\/problem\+json/)
    const problem = (await response.json()) as { errors: { pointer: string }[]; instance: string }
    expect(problem.errors.map((error) => error.pointer)).toContain(pointer)
    expect(problem.instance).toBe(`urn:uuid:${response.headers.get('x-correlation-id')}`)
  })

  test.each([
    ['a body past the limit', () => post(JSON.stringify({ text: 'x'.repeat(2000) })), 413],
    ['another media type', () => post('<x/>', 'application/xml'), 415],
    ['an unknown route', () => fetch(`${service.url}/nothing`), 404],
    ['a method that the route has not', () => fetch(`${service.url}/notes`, { method: 'DELETE' }), 405],
    ['a malformed URL', () => fetch(`${service.url}/notes/%ff`), 400],
    ['a conflict', () => fetch(`${service.url}/notes/conflict`), 409],
    ['a bug', () => fetch(`${service.url}/notes/fail`), 500],
  ])('%s is problem+json', async (_case, send, status) => {
    const response = await send()
    expect(response.status).toBe(status)
    expect(response.headers.get('content-type')).toMatch(/^application\/problem\+json/)
    expect(await response.text()).not.toContain('CANARY')
  })

  test('a raw request that is no HTTP is closed, not answered with a stack', async () => {
    const { hostname, port } = new URL(service.url)
    const answer = await new Promise<string>((resolve) => {
      const socket = connect(Number(port), hostname, () => socket.end('NONSENSE\r\n\r\n'))
      let text = ''
      socket.on('data', (chunk) => {
        text += chunk
      })
      socket.on('close', () => resolve(text))
    })
    expect(answer).toMatch(/^HTTP\/1.1 400/)
    expect(answer).not.toMatch(/at .*\.js/)
  })

  test('serves health, readiness, metrics, OpenAPI and its documentation', async () => {
    expect((await fetch(`${service.url}/health`)).status).toBe(200)
    expect((await fetch(`${service.url}/ready`)).status).toBe(200)
    expect(await (await fetch(`${service.url}/metrics`)).text()).toContain('http_request_duration_seconds')
    const openapi = (await (await fetch(`${service.url}/openapi.json`)).json()) as { paths: object }
    expect(Object.keys(openapi.paths)).toContain('/notes')
    const docs = await fetch(`${service.url}/docs`)
    expect(docs.status).toBe(200)
    expect(await docs.text()).toContain('swagger')
  })

  test('is not ready while a dependency is down, and names it', async () => {
    healthy = false
    const response = await fetch(`${service.url}/ready`)
    healthy = true
    expect(response.status).toBe(503)
    expect(await response.json()).toMatchObject({ checks: { database: 'failing' } })
  })

  test('logs requests by route pattern, never by URL', async () => {
    await fetch(`${service.url}/notes/conflict?patient=CANARY`)
    await expect.poll(() => lines.some((line) => line.includes('"route":"/notes/conflict"'))).toBe(true)
    expect(lines.join('')).not.toContain('patient=')
  })

  test('a stopping service finishes the requests it has', async () => {
    const own = await startService({
      name: 'fraud',
      title: 'Notes',
      module: NotesModule,
      config: BaseConfig.parse({ DATABASE_URL: 'postgres://x@127.0.0.1/x', DRAIN_DELAY_MS: '100' }),
      logger: createLogger('fraud', 'silent'),
      checks: {},
    })
    const answered = new Promise<number | undefined>((resolve, reject) => {
      request(`${own.url}/notes/slow`, (response) => resolve(response.resume().statusCode))
        .on('error', reject)
        .end()
    })
    await new Promise((resolve) => setTimeout(resolve, 50))
    const stopped = own.stop()
    expect((await fetch(`${own.url}/ready`)).status).toBe(503)
    expect(await answered).toBe(200)
    await stopped
    await expect(fetch(`${own.url}/health`)).rejects.toThrow()
  })
})
