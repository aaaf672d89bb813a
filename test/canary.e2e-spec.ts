import { createHash, randomUUID } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Collector, startCollector } from './support/collector.js'
import {
  everyRow,
  type House,
  payment,
  type Route,
  type Schema,
  type ServiceName,
  startHouse,
} from './support/house.js'
import { instance } from './support/instance.js'

const CANARIES = {
  card: '4111111111111111',
  secret: 'CANARYSECRET-d41d8cd98f00b204',
  name: 'CANARYNAME JOSEPHINE',
  physician: 'CANARYDOC-9',
}
const NEEDLES = [CANARIES.card, '4111 1111 1111 1111', 'CANARYSECRET', 'CANARYNAME', 'JOSEPHINE', 'CANARYDOC']
type Canary = keyof typeof CANARIES

/** Fields that hold an identifier of a system by contract, stored and shown as it is: a name has no business there. */
const IDENTIFIERS = new Set([
  'actor',
  'agent',
  'subject',
  'user_id',
  'merchant_id',
  'transaction_id',
  'client_id',
  'note',
  'code',
])
/** Answers that show what was sealed, to whom may see it. */
const REVEALS = /\/patient$|\/api\/v1\/(?:break-glass|legal-holds|approvals)|\/erasure$/

let house: House
let collector: Collector
let token: string
const answers: { route: string; status: number; text: string }[] = []
const found = (text: string) => NEEDLES.filter((needle) => text.includes(needle))

beforeAll(async () => {
  collector = await startCollector()
  house = await startHouse({ OTEL_EXPORTER_OTLP_ENDPOINT: `${collector.url}/` })
  const scopes = [...new Set(house.routes.flatMap(({ operation }) => operation['x-scopes'] ?? []))]
  token = await house.issuer.token({ scopes, clientId: 'sender' })
})
let stopped: Promise<void> | undefined
afterAll(async () => {
  await (stopped ?? house?.stop())
  await collector?.stop()
})

async function record(route: string, url: string, init: RequestInit): Promise<string> {
  const headers = { authorization: `Bearer ${token}`, 'purpose-of-use': 'TREAT', ...(init.headers as object) }
  const response = await fetch(url, { ...init, headers })
  const text = await response.text()
  const told = [...response.headers].map(([name, value]) => `${name}: ${value}`).join('\n')
  answers.push({ route, status: response.status, text: `${told}\n${text}` })
  return text
}
const urlOf = (route: Route, param: string) =>
  `${house.services[route.service].url}${route.path.replace(/\{\w+\}/g, encodeURIComponent(param))}`
const nameOf = ({ service, method, path }: Route) => `${service} ${method} ${path}`

/** A value of a schema that holds the text wherever text may stand. */
function fill(route: Route, schema: Schema, canary: Canary, field = ''): unknown {
  const { type, format, properties, items, anyOf, oneOf, allOf, ...rest } = route.resolve(schema)
  if (rest.const !== undefined) return rest.const
  if (rest.enum) return rest.enum[0]
  const option = (anyOf ?? oneOf ?? allOf)?.[0]
  if (option) return fill(route, option, canary, field)
  if (properties)
    return Object.fromEntries(
      Object.entries(properties).map(([name, part]) => [name, fill(route, part, canary, name)]),
    )
  switch ([type].flat()[0]) {
    case 'array':
      return [fill(route, items ?? {}, canary, field)]
    case 'number':
    case 'integer':
      return 1
    case 'boolean':
      return true
    case 'object':
      return { [field || 'x']: textFor(field, canary) }
  }
  if (format === 'uuid') return randomUUID()
  if (format === 'date-time') return new Date().toISOString()
  return textFor(field, canary)
}
const isPerson = (canary: Canary) => canary === 'name' || canary === 'physician'
const textFor = (field: string, canary: Canary) =>
  IDENTIFIERS.has(field) && canary !== 'card' ? 'identifier-1' : CANARIES[canary]

/** The whole body, and each optional member alone with those that are required: some exclude each other. */
function bodiesOf(route: Route, schema: Schema, canary: Canary): object[] {
  const full = fill(route, schema, canary)
  if (typeof full !== 'object' || full === null) return []
  const required = new Set(route.resolve(schema).required ?? [])
  const needed = Object.entries(full).filter(([name]) => required.has(name))
  const optional = Object.entries(full).filter(([name]) => !required.has(name))
  return [
    full,
    Object.fromEntries(needed),
    ...optional.map((member) => Object.fromEntries([...needed, member])),
  ]
}

function* requestsOf(route: Route, canary: Canary): Generator<[url: string, init: RequestInit]> {
  const text = CANARIES[canary]
  const { method } = route
  const [type, content] = Object.entries(route.operation.requestBody?.content ?? {})[0] ?? []
  const url = urlOf(route, route.path.includes('erasure') || !isPerson(canary) ? text : randomUUID())
  const json = (body: string, headers: object = {}) => ({
    method,
    body,
    headers: { 'content-type': type ?? 'application/json', ...headers },
  })
  if (method === 'GET' || method === 'DELETE') {
    yield [url, { method }]
    for (const { name, in: place } of route.operation.parameters ?? [])
      if (place === 'query') yield [`${url}?${name}=${encodeURIComponent(textFor(name, canary))}`, { method }]
    yield [`${url}?unknown=${encodeURIComponent(text)}`, { method }]
    yield [urlOf(route, text), { method, headers: { authorization: `Bearer ${text}` } }]
  } else if (type?.startsWith('multipart')) {
    const form = new FormData()
    for (const name of ['patient_id', 'physician_id', 'modality', isPerson(canary) ? 'extra' : CANARIES.card])
      form.append(name, text)
    form.append('image', new Blob([text]), `${text}.dcm`)
    yield [url, { method, body: form }]
  } else {
    for (const body of bodiesOf(route, content?.schema ?? {}, canary)) yield [url, json(JSON.stringify(body))]
    yield [url, json(`{"a":"${text}`)]
    yield [url, json(`{"a":"${text}","a":"${text}"}`)]
    yield [url, json(`{"a":${'['.repeat(99)}"${text}"`)]
    yield [url, { method, body: text, headers: { 'content-type': 'text/plain' } }]
    yield [url, json(JSON.stringify({ unknown: text, [CANARIES.card]: text }))]
  }
  const wrong = {
    'x-correlation-id': text,
    traceparent: text,
    'user-agent': text,
    prefer: text,
    'model-version': text,
  }
  yield [
    urlOf(route, randomUUID()),
    { method, headers: { ...wrong, 'purpose-of-use': text, 'if-none-match': text } },
  ]
  const credentials: Record<string, string>[] = [
    { authorization: `Bearer ${text}` },
    { authorization: `Basic ${Buffer.from(`x:${text}`).toString('base64')}` },
    { authorization: '', 'x-api-key': text },
  ]
  for (const headers of credentials) yield [urlOf(route, randomUUID()), { method, headers }]
}

async function inTurn<T>(all: T[], width: number, work: (item: T) => Promise<unknown>): Promise<void> {
  const waiting = [...all]
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await work(item)
    }),
  )
}

const post = (service: ServiceName, path: string, body: object | FormData, headers: object = {}) => {
  const isForm = body instanceof FormData
  const init = { method: 'POST', body: isForm ? body : JSON.stringify(body) }
  const type: Record<string, string> = isForm ? {} : { 'content-type': 'application/json' }
  return record(`${service} POST ${path}`, `${house.services[service].url}${path}`, {
    ...init,
    headers: { ...type, ...headers },
  })
}
const get = (service: ServiceName, path: string) =>
  record(`${service} GET ${path}`, `${house.services[service].url}${path}`, {})

describe('a name, a card number, a secret and a physician', () => {
  test('go through every route, as whatever may be text in it', async () => {
    const requests = house.routes.flatMap((route) =>
      (Object.keys(CANARIES) as Canary[])
        .filter((canary) => !(route.service === 'fraud' && isPerson(canary)))
        .flatMap((canary) => [...requestsOf(route, canary)].map((request) => ({ route, request }))),
    )
    expect(requests.length).toBeGreaterThan(1_000)
    await inTurn(requests, 16, ({ route, request: [url, init] }) => record(nameOf(route), url, init))
    expect(answers.filter(({ status }) => status === 500)).toEqual([])
    expect(answers.filter(({ status }) => status === 429)).toEqual([])
  }, 120_000)

  test('go where they belong: an image of them, an emergency, a hold, an erasure, a search, a log-in', async () => {
    const form = new FormData()
    for (const [name, value] of Object.entries({
      patient_id: CANARIES.name,
      physician_id: CANARIES.physician,
      modality: 'CR',
    }))
      form.append(name, value)
    const picture = instance({ patientName: 'CANARYNAME^JOSEPHINE', patientId: CANARIES.name })
    form.append(
      'image',
      new Blob([new Uint8Array(picture)], { type: 'application/dicom' }),
      `${CANARIES.name}.dcm`,
    )
    const image = JSON.parse(await post('imaging', '/api/v1/images', form, { prefer: 'wait=20' }))
    expect(image.status).toBe('completed')
    const id = image.correlation_id
    for (const path of ['', '/patient', '/deidentified']) await get('imaging', `/api/v1/images/${id}${path}`)
    const explanation = `${CANARIES.name} with card ${CANARIES.card} is unconscious`
    const grant = JSON.parse(
      await post('imaging', `/api/v1/images/${id}/break-glass`, { reason: 'BTG', explanation }),
    )
    await get('imaging', `/api/v1/break-glass/${grant.grant_id}/patient`)
    await get('imaging', `/api/v1/break-glass/${grant.grant_id}`)
    await post('imaging', `/api/v1/break-glass/${grant.grant_id}/review`, {
      outcome: 'justified',
      note: CANARIES.name,
    })
    const reason = `asked for by ${CANARIES.name}, ${CANARIES.secret}`
    await post('compliance', '/api/v1/legal-holds', { patient: CANARIES.name, reason })
    await post('compliance', `/api/v1/patients/${encodeURIComponent(CANARIES.name)}/erasure`, { reason })
    await post('compliance', '/api/v1/audit/entries/search', { patient: CANARIES.name })
    await get('compliance', `/api/v1/audit/entries?patient=${encodeURIComponent(CANARIES.name)}`)
    await post('compliance', '/api/v1/audit/exports', { format: 'csv', filters: { patient: CANARIES.name } })
    await post('fraud', '/api/v1/transactions', payment('tx-1', { metadata: { pan: CANARIES.card } }))
    await post('fraud', '/api/v1/transactions', payment('tx-2'))
    for (const [field, value] of [
      ['client_secret', CANARIES.secret],
      ['client_assertion', CANARIES.secret],
      ['code', CANARIES.secret],
    ] as const) {
      const body = new URLSearchParams({
        grant_type: 'client_credentials',
        client_id: 'payments',
        [field]: value,
      })
      await record('compliance POST /auth/token', `${house.services.compliance.url}/auth/token`, {
        method: 'POST',
        body,
        headers: { authorization: '' },
      })
    }
  }, 120_000)
})

describe('none of them is found', () => {
  test('in an answer, but where it may be shown', () => {
    const told = answers
      .filter(({ status, route }) => status >= 400 || !REVEALS.test(route))
      .filter(({ text }) => found(text).length > 0)
    expect(told.slice(0, 5)).toEqual([])
    expect(answers.some(({ text, route }) => REVEALS.test(route) && found(text).length > 0)).toBe(true)
  })

  test('in a log line', () => {
    expect(house.lines.length).toBeGreaterThan(1_000)
    expect(house.lines.filter((line) => found(line).length > 0).slice(0, 5)).toEqual([])
  })

  test('in a metric', async () => {
    for (const { url } of Object.values(house.services)) {
      const text = await (await fetch(`${url}/metrics`)).text()
      expect(text).toContain('http_request_duration_seconds_count')
      expect(found(text)).toEqual([])
    }
  })

  test('in a row of any table, queues among them: in clear, in hex, in base64, as a plain hash', async () => {
    const forms = [...NEEDLES, ...Object.values(CANARIES)].flatMap((text) => [
      text,
      Buffer.from(text).toString('hex'),
      Buffer.from(text).toString('base64').replace(/=+$/, '').slice(0, -1),
      createHash('sha256').update(text).digest('hex'),
      createHash('sha256').update(text).digest('base64url'),
    ])
    const rows = await everyRow(house.admin)
    expect(new Set(rows.map(({ table }) => table)).size).toBeGreaterThan(20)
    const hits = rows.flatMap(({ table, row }) =>
      forms.filter((form) => row.includes(form)).map((form) => ({ table, form, row: row.slice(0, 400) })),
    )
    expect(hits.slice(0, 5)).toEqual([])
  })

  test('in a file, or the name of one', () => {
    const files = readdirSync(house.dataDir, { recursive: true, withFileTypes: true }).filter((entry) =>
      entry.isFile(),
    )
    expect(files.length).toBeGreaterThan(4)
    for (const entry of files) {
      const text = readFileSync(join(entry.parentPath, entry.name), 'latin1')
      expect([entry.name, found(`${entry.name}\n${text}`)]).toEqual([entry.name, []])
    }
  })

  test('in a span', async () => {
    // What is left is delivered when the services stop.
    stopped = house.stop()
    await stopped
    expect(collector.spans.length).toBeGreaterThan(500)
    expect(found(collector.raw())).toEqual([])
    const decoded = decodeURIComponent(collector.raw().replace(/%(?![0-9A-Fa-f]{2})/g, '%25'))
    expect(found(decoded)).toEqual([])
  })
})
