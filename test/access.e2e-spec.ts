import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { newApiKey } from '../libs/auth/src/api-key.js'
import { routedPaths } from '../libs/platform/src/routes.js'
import { type House, payment, type Route, type ServiceName, startHouse } from './support/house.js'
import { instance } from './support/instance.js'
import { type Issuer, startIssuer } from './support/issuer.js'

let house: House
let forger: Issuer
let scopes: string[]
beforeAll(async () => {
  ;[house, forger] = await Promise.all([startHouse(), startIssuer()])
  scopes = [...new Set(house.routes.flatMap(({ operation }) => operation['x-scopes'] ?? []))]
})
afterAll(async () => {
  await forger?.stop()
  await house?.stop()
})

const nameOf = ({ service, method, path }: Route) => `${service} ${method} ${path}`
const isOpen = ({ operation }: Route) => operation['x-public'] !== undefined
const closed = () => house.routes.filter((route) => !isOpen(route))

const BODIES: Record<string, () => string | FormData> = {
  'application/json': () => '{}',
  'application/x-ndjson': () => '{}\n',
  'application/x-www-form-urlencoded': () => '',
  'multipart/form-data': () => new FormData(),
}

interface Sent {
  headers?: Record<string, string>
  params?: Record<string, string>
  body?: object
}
/** Sends a request to a route: well-formed, with ids that nobody has unless they are given. */
async function send(route: Route, { headers = {}, params = {}, body }: Sent = {}) {
  const path = route.path.replace(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent(params[name] ?? randomUUID()),
  )
  const [type = undefined] = Object.keys(route.operation.requestBody?.content ?? {})
  const content = body
    ? JSON.stringify(body)
    : route.method === 'GET'
      ? undefined
      : (BODIES[type ?? ''] ?? BODIES['application/json']!)()
  const isForm = content instanceof FormData
  const response = await fetch(`${house.services[route.service].url}${path}`, {
    method: route.method,
    ...(content === undefined ? {} : { body: content }),
    headers: {
      ...(content === undefined || isForm ? {} : { 'content-type': type ?? 'application/json' }),
      'purpose-of-use': 'TREAT',
      ...headers,
    },
  })
  const text = await response.text()
  return { status: response.status, headers: response.headers, text }
}
const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
const as = async (tenant: string, clientId = `everything-${tenant}`) =>
  bearer(await house.issuer.token({ scopes, tenant, clientId }))

/** Runs a check for each route and reports all that fail by name. */
async function each(routes: Route[], check: (route: Route) => Promise<unknown>, expected: unknown) {
  const outcomes = await Promise.all(
    routes.map(async (route) => [nameOf(route), await check(route)] as const),
  )
  expect(outcomes.filter(([, outcome]) => JSON.stringify(outcome) !== JSON.stringify(expected))).toEqual([])
}

describe('every route of every service', () => {
  test('says which scopes it needs, or why it needs none', () => {
    expect(closed().length).toBeGreaterThan(20)
    const silent = house.routes.filter(
      ({ operation }) => !(operation['x-scopes']?.length || (operation['x-public']?.length ?? 0) > 10),
    )
    expect(silent.map(nameOf)).toEqual([])
  })

  test('is in the OpenAPI document, but for what operators and log-in pages need', () => {
    const HIDDEN =
      /^\/(?:health|ready|metrics|openapi\.json|docs(?:\/.*)?|docs-(?:json|yaml)|\.well-known\/[a-z.-]+|auth\/[a-z/:]+|)$/
    const plain = (path: string) => path.replace(/\{\w+\}|:\w+|\*/g, ':_')
    for (const [name, { app }] of Object.entries(house.services)) {
      const told = house.routes.filter(({ service }) => service === name).map(({ path }) => plain(path))
      const paths = routedPaths(app.getHttpServer())
      expect(paths.length).toBeGreaterThan(5)
      const unknown = paths.filter((path) => !told.includes(plain(path)) && !HIDDEN.test(path))
      expect([name, unknown]).toEqual([name, []])
    }
  })

  const refusals: [string, () => Promise<Record<string, string>>][] = [
    ['no token', async () => ({})],
    ['nonsense', async () => bearer('nonsense')],
    [
      'an expired token',
      async () => bearer(await house.issuer.token({ scopes, claims: { exp: 1_000_000 } })),
    ],
    [
      'a token that somebody else signed',
      async () => bearer(await forger.token({ scopes, claims: { iss: house.issuer.url } })),
    ],
    ['a token of an unknown issuer', async () => bearer(await forger.token({ scopes }))],
    [
      'a token for another audience',
      async () => bearer(await house.issuer.token({ scopes, claims: { aud: 'others' } })),
    ],
    ['an API key that nobody has', async () => ({ 'x-api-key': newApiKey().text })],
    ['an API key that is none', async () => ({ 'x-api-key': 'vk_x' })],
  ]
  test.each(refusals)('refuses %s with 401', async (_case, credentials) => {
    const headers = await credentials()
    const check = async (route: Route) => {
      const answer = await send(route, { headers })
      return [
        answer.status,
        answer.headers.get('www-authenticate') !== null,
        /^application\/problem\+json/.test(answer.headers.get('content-type') ?? ''),
      ]
    }
    await each(closed(), check, [401, true, true])
  })

  test('refuses a token without its scope with 403, names the scope, and records it where it is not daily data', async () => {
    const headers = bearer(await house.issuer.token({ scopes: ['nothing:at-all'], clientId: 'curious' }))
    const check = async (route: Route) => {
      const { status, headers: answer } = await send(route, { headers })
      return [
        status,
        answer.get('www-authenticate')?.includes(`scope="${route.operation['x-scopes']!.join(' ')}"`),
      ]
    }
    await each(closed(), check, [403, true])
    const { rows } = await house.admin.query(
      `SELECT convert_from(body, 'UTF8')::jsonb -> 'entry' -> 'details' AS details FROM audit.entry
       WHERE actor_id = 'curious' AND action = 'ACCESS_DENIED'`,
    )
    const daily = new Set(['data:read', 'ai:inference'])
    const privileged = closed().filter(
      ({ operation }) => !operation['x-scopes']!.every((scope) => daily.has(scope)),
    )
    expect(rows.length).toBe(privileged.length)
    for (const { details } of rows) expect(JSON.stringify(details)).not.toMatch(/[0-9a-f]{8}-[0-9a-f]{4}/)
  })

  test('lets the right scope in: then it is the request that counts', async () => {
    const headers = await as('default')
    const check = async (route: Route) => [401, 403, 500].includes((await send(route, { headers })).status)
    await each(closed(), check, false)
  })
})

type Json = Record<string, unknown>
const call = async (service: ServiceName, path: string, body?: object | FormData) => {
  const response = await fetch(`${house.services[service].url}${path}`, {
    ...(body ? { method: 'POST', body: body instanceof FormData ? body : JSON.stringify(body) } : {}),
    headers: {
      ...(await as('default')),
      'purpose-of-use': 'TREAT',
      ...(body && !(body instanceof FormData) ? { 'content-type': 'application/json' } : {}),
    },
  })
  return (await response.json()) as Json
}

/** What the tenant `default` has: something behind every route that names a thing. */
async function furnish(): Promise<void> {
  await call('fraud', '/api/v1/transactions', payment('tx-of-default'))
  await call('fraud', '/api/v1/labels', {
    transaction_id: 'tx-of-default',
    label: 'fraud',
    source: 'analyst',
  })
  const form = new FormData()
  for (const [name, value] of Object.entries({ patient_id: 'p-1', physician_id: 'd-1', modality: 'CR' }))
    form.append(name, value)
  const picture = instance({ patientName: 'A^B', patientId: 'p-1' })
  form.append('image', new Blob([new Uint8Array(picture)], { type: 'application/dicom' }), 'x.dcm')
  const { correlation_id: image } = await call('imaging', '/api/v1/images', form)
  await call('imaging', `/api/v1/images/${image}/break-glass`, {
    ...{ reason: 'BTG', explanation: 'a patient without a name in the emergency room' },
  })
  const finished = async () => (await call('imaging', `/api/v1/images/${image}`)).finished_at
  await expect.poll(finished, { timeout: 20_000, interval: 100 }).toBeTruthy()
  const hold = await call('compliance', '/api/v1/legal-holds', { subject: 'tx-of-default', reason: 'case 1' })
  await call('compliance', `/api/v1/legal-holds/${hold.id}/release`, { reason: 'case 1 is closed' })
  await call('compliance', '/api/v1/patients/p-1/erasure', { reason: 'asked for in writing' })
  const { id } = await call('compliance', '/api/v1/audit/exports', { format: 'csv' })
  const done = async () => (await call('compliance', `/api/v1/audit/exports/${id}`)).status
  await expect.poll(done, { timeout: 20_000, interval: 100 }).toBe('completed')
}

/** Ids of all that a tenant has: short text and UUIDs in rows that carry its name. */
async function idsOf(tenant: string): Promise<string[]> {
  const { rows: columns } = await house.admin.query<{ name: string; column: string }>(`
    SELECT format('%I.%I', c.table_schema, c.table_name) AS name, c.column_name AS column
    FROM information_schema.columns c JOIN information_schema.columns t
      ON (t.table_schema, t.table_name, t.column_name) = (c.table_schema, c.table_name, 'tenant')
    JOIN pg_tables p ON (p.schemaname, p.tablename) = (c.table_schema, c.table_name)
    WHERE c.data_type IN ('uuid', 'text') AND c.column_name ~ '(^|_)(id|version|name)$' AND c.column_name !~ 'actor|client|user'`)
  const ids = new Set<string>(['p-1'])
  for (const { name, column } of columns) {
    const { rows } = await house.admin.query<{ id: string }>(
      `SELECT DISTINCT "${column}"::text AS id FROM ${name} WHERE tenant = $1 AND "${column}" IS NOT NULL ORDER BY 1 LIMIT 1`,
      [tenant],
    )
    for (const { id } of rows) ids.add(id)
  }
  return [...ids]
}

/** Bodies with which a changing route gets as far as looking for the thing that it names. */
const CHANGES: Record<string, object> = {
  'POST /api/v1/images/{id}/break-glass': {
    reason: 'BTG',
    explanation: 'a patient without a name in the emergency room',
  },
  'POST /api/v1/break-glass/{id}/review': { outcome: 'justified' },
  'POST /api/v1/patients/{id}/erasure': { reason: 'asked for in writing' },
  'POST /api/v1/legal-holds/{id}/release': { reason: 'the case is closed' },
  'POST /api/v1/approvals/{id}/approval': {},
  'POST /api/v1/approvals/{id}/rejection': { reason: 'not needed' },
}
/** What is not of one tenant, with the reason. */
const SHARED: Record<string, string> = {
  'compliance POST /api/v1/patients/{id}/disclosures':
    'records what the tenant itself disclosed: nothing is looked for',
  'compliance GET /log/tile/entries/{path}':
    'bundles hold all tenants: for the operator’s tenant alone (403 for others)',
}

describe('another tenant’s thing is as missing as one that never was', () => {
  // What changes something comes last: it may take away what others look for.
  const named = () =>
    closed()
      .filter((route) => route.path.includes('{') && !SHARED[nameOf(route)])
      .sort((one, other) => Number(one.method !== 'GET') - Number(other.method !== 'GET'))
  /** What differs between two answers of a kind: the request's own id and time, and the keyed hash of what was asked. */
  const alike = (text: string) =>
    text
      .replace(/"instance":"[^"]*"/, '')
      .replace(/"\d{4}-\d\d-\d\dT[\d:.]+Z"/g, '"<time>"')
      .replace(/"patient_ref":"[^"]*"/g, '"patient_ref":"<hash>"')

  test('behind every route that names one, and behind its own tenant’s eyes it is there', async () => {
    await furnish()
    const ids = await idsOf('default')
    expect(ids.length).toBeGreaterThan(10)
    const owners = [await as('default'), await as('default', 'second-person')]
    const stranger = await as('other')
    const failures: unknown[] = []
    for (const route of named()) {
      const body = CHANGES[`${route.method} ${route.path}`]
      const names = [...route.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name!)
      const ask = async (id: string, headers: Record<string, string>) => {
        const params = Object.fromEntries(names.map((name) => [name, id]))
        const { status, text } = await send(route, { headers, params, ...(body ? { body } : {}) })
        return { status, text: alike(text).replaceAll(id, '<id>') }
      }
      const [missing, nonsense] = [await ask(randomUUID(), stranger), await ask('never-was', stranger)]
      if (![404, 202, 200].includes(missing.status))
        failures.push([nameOf(route), 'a missing thing', missing])
      await Promise.all(
        ids.map(async (id) => {
          const answer = await ask(id, stranger)
          const like = /^[0-9a-f-]{36}$/.test(id) ? missing : nonsense
          if (JSON.stringify(answer) !== JSON.stringify(like))
            failures.push([nameOf(route), id, answer, like])
        }),
      )
      let isFound = false
      for (const id of ids) {
        const seen = await Promise.all(owners.map((own) => ask(id, own)))
        isFound = seen.some(({ status }) => status !== 404)
        if (isFound) break
      }
      if (!isFound) failures.push([nameOf(route), 'nothing of the tenant’s own was found'])
    }
    expect(failures).toEqual([])
  }, 120_000)

  test('and looking for a patient there leaves a denied entry', async () => {
    const { rows } = await house.admin.query(
      `SELECT action, count(*)::int AS count FROM audit.entry WHERE tenant = 'other' AND outcome = 'denied' GROUP BY 1`,
    )
    const denied = Object.fromEntries(rows.map(({ action, count }) => [action, count]))
    for (const action of ['PHI_ACCESS', 'BREAK_GLASS_GRANTED', 'BREAK_GLASS_READ'])
      expect([action, denied[action] > 2]).toEqual([action, true])
  })
})
