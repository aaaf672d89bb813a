import { createHash } from 'node:crypto'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type AuditEntry,
  appendAudit,
  decodeBundle,
  isSignedBy,
  leafHash,
  parseCheckpoint,
  parseNote,
  parseVerificationKey,
  verifyConsistency,
  verifyInclusion,
} from '#libs/audit'
import { createLogger, newId, type RunningService } from '#libs/platform'
import { seedClients } from '../apps/compliance/src/identity/clients.js'
import { ComplianceConfig, startCompliance } from '../apps/compliance/src/start.js'
import { freePort } from '../scripts/embedded/port.js'
import { createTestDatabase, type TestDatabase } from './support/database.js'

const SECRETS = { auditor: 'auditor-secret', clinic: 'clinic:secret+/%' }
let database: TestDatabase
let admin: pg.Client
let service: RunningService
const logLines: string[] = []

beforeAll(async () => {
  database = await createTestDatabase()
  admin = new pg.Client({ connectionString: database.adminUrl })
  await admin.connect()
  await seedClients(admin, [
    { name: 'auditor', client_id: 'auditor', client_secret: SECRETS.auditor, scopes: ['audit:read'] },
    {
      name: 'clinic',
      client_id: 'clinic',
      client_secret: SECRETS.clinic,
      scopes: ['ai:inference', 'data:read'],
    },
    { name: 'other', client_id: 'other', client_secret: 'other-secret', scopes: ['audit:read'] },
  ])
  await admin.query(`UPDATE identity.client SET tenant = 'elsewhere' WHERE client_id = 'other'`)
  const port = await freePort(0)
  const config = ComplianceConfig.parse({
    DATABASE_URL: database.url('vigil_compliance'),
    SEQUENCER_DATABASE_URL: database.url('vigil_sequencer'),
    DATA_DIR: mkdtempSync(join(tmpdir(), 'vigil-compliance-')),
    PORT: port,
    ISSUER: `http://127.0.0.1:${port}`,
    SEQUENCE_INTERVAL_MS: 50,
    DRAIN_DELAY_MS: 0,
  })
  service = await startCompliance(
    config,
    createLogger('compliance', 'info', { write: (line) => void logLines.push(line) }),
  )
})
afterAll(async () => {
  await service?.stop()
  await admin?.end()
  await database?.drop()
})

const token = (init: RequestInit) => fetch(`${service.url}/auth/token`, { method: 'POST', ...init })
const form = (fields: Record<string, string>) => token({ body: new URLSearchParams(fields) })
const grant = { grant_type: 'client_credentials' }
const auditor = { ...grant, client_id: 'auditor', client_secret: SECRETS.auditor }
const tokenOf = async (fields: Record<string, string>) =>
  ((await (await form(fields)).json()) as { access_token: string }).access_token
const get = (path: string, bearer?: string) =>
  fetch(`${service.url}${path}`, { headers: bearer ? { authorization: `Bearer ${bearer}` } : {} })

interface Page {
  entries: {
    id: string
    action: string
    outcome: string
    actor: { id: string }
    log_index: number | null
    details?: Record<string, unknown>
  }[]
  next_cursor: string | null
}
const list = async (query: string, bearer: string) =>
  (await (await get(`/api/v1/audit/entries?${query}`, bearer)).json()) as Page

describe('a client asks for a token', () => {
  test('by form, by HTTP Basic and by JSON; the token is an RFC 9068 access token', async () => {
    const basic = Buffer.from(`clinic:${encodeURIComponent(SECRETS.clinic)}`).toString('base64')
    const answers = await Promise.all([
      form({ ...grant, client_id: 'clinic', client_secret: SECRETS.clinic }),
      token({ body: new URLSearchParams(grant), headers: { authorization: `Basic ${basic}` } }),
      token({
        body: JSON.stringify({ client_id: 'clinic', client_secret: SECRETS.clinic }),
        headers: { 'content-type': 'application/json' },
      }),
    ])
    for (const answer of answers) {
      expect(answer.status).toBe(200)
      expect(answer.headers.get('cache-control')).toBe('no-store')
      const body = (await answer.json()) as {
        access_token: string
        token_type: string
        expires_in: number
        scope: string
      }
      expect(body).toMatchObject({ token_type: 'Bearer', expires_in: 600, scope: 'ai:inference data:read' })
      expect(decodeProtectedHeader(body.access_token)).toMatchObject({ alg: 'ES256', typ: 'at+jwt' })
      expect(decodeJwt(body.access_token)).toMatchObject({
        iss: service.url,
        aud: 'vigil',
        sub: 'clinic',
        client_id: 'clinic',
        tenant: 'default',
      })
    }
  })

  test('can ask for less, not for more', async () => {
    const clinic = { ...grant, client_id: 'clinic', client_secret: SECRETS.clinic }
    expect(await (await form({ ...clinic, scope: 'data:read' })).json()).toMatchObject({ scope: 'data:read' })
    const refused = await form({ ...clinic, scope: 'phi:reidentify' })
    expect(refused.status).toBe(400)
    expect(await refused.json()).toMatchObject({ error: 'invalid_scope', status: 400 })
  })

  test.each([
    ['a wrong secret', { ...auditor, client_secret: 'wrong' }, 401, 'invalid_client'],
    ['an unknown client', { ...auditor, client_id: 'nobody' }, 401, 'invalid_client'],
    ['no credentials', grant, 401, 'invalid_client'],
    ['another grant', { ...auditor, grant_type: 'password' }, 400, 'unsupported_grant_type'],
    ['an overlong field', { ...auditor, client_id: 'x'.repeat(65) }, 400, 'invalid_request'],
  ])('%s is refused as RFC 6749 says', async (_case, fields, status, error) => {
    const answer = await form(fields as Record<string, string>)
    expect(answer.status).toBe(status)
    expect(answer.headers.get('content-type')).toMatch(/problem\+json/)
    expect(await answer.json()).toMatchObject({ error, status })
  })

  test('a parameter that we do not know is ignored (RFC 6749 3.2)', async () => {
    expect((await form({ ...auditor, extra: '1' })).status).toBe(200)
  })

  test('an unknown client and a wrong secret are told apart by nobody', async () => {
    const bodies = await Promise.all(
      [
        { ...auditor, client_secret: 'wrong' },
        { ...auditor, client_id: 'nobody' },
      ].map(async (fields) => {
        const { instance: _own, ...rest } = (await (await form(fields)).json()) as Record<string, unknown>
        return rest
      }),
    )
    expect(bodies[0]).toEqual(bodies[1])
  })

  test('every issue and every refusal is in the trail, no secret anywhere', async () => {
    const bearer = await tokenOf(auditor)
    const issued = await list('action=TOKEN_ISSUED&actor=auditor', bearer)
    expect(issued.entries[0]).toMatchObject({ outcome: 'success', details: { scope: 'audit:read' } })
    const refused = await list('action=TOKEN_REFUSED', bearer)
    expect(refused.entries.length).toBeGreaterThanOrEqual(3)
    const everything =
      JSON.stringify((await admin.query('SELECT convert_from(body, $1) FROM audit.entry', ['UTF8'])).rows) +
      logLines.join('')
    for (const secret of [...Object.values(SECRETS), bearer]) expect(everything).not.toContain(secret)
  })
})

describe('the trail', () => {
  test.each([
    ['no token', undefined, 401],
    ['a token of another shape', 'nonsense', 401],
  ])('%s: refused', async (_case, bearer, status) => {
    const answer = await get('/api/v1/audit/entries', bearer)
    expect(answer.status).toBe(status)
    expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer/)
    expect(await answer.json()).toMatchObject({ type: 'urn:vigil:problem:unauthenticated' })
  })

  test('the scope is needed and named', async () => {
    const answer = await get(
      '/api/v1/audit/entries',
      await tokenOf({ ...grant, client_id: 'clinic', client_secret: SECRETS.clinic }),
    )
    expect(answer.status).toBe(403)
    expect(await answer.json()).toMatchObject({ detail: 'The token lacks the scope audit:read' })
  })

  test.each([
    'limit=0',
    'limit=x',
    'outcome=maybe',
    'from=yesterday',
    'correlation_id=1',
    'cursor=%21',
    'unknown=1',
    'action=drop%20table',
  ])('a wrong filter is named: %s', async (query) => {
    const answer = await get(`/api/v1/audit/entries?${query}`, await tokenOf(auditor))
    expect(answer.status).toBe(400)
    const { errors } = (await answer.json()) as { errors: { pointer: string }[] }
    expect(errors[0]?.pointer).toBe(`/${query.split('=')[0]}`)
  })

  test('pages by cursor without gap or repeat, under any filter, and reading is an entry of its own', async () => {
    const correlationId = newId()
    const entry = (at: number): AuditEntry => ({
      tenant: 'default',
      service: 'fraud',
      actor: { type: 'client', id: `pager-${at % 2}` },
      action: 'TRANSACTION_DECIDED',
      outcome: at % 3 === 0 ? 'failure' : 'success',
      subject: { type: 'transaction', id: `tx-${at}` },
      correlationId,
    })
    const ids: string[] = []
    for (let at = 0; at < 25; at++) ids.unshift(await appendAudit(admin, entry(at)))
    const bearer = await tokenOf(auditor)
    const seen: string[] = []
    let cursor: string | null = null
    do {
      const page: Page = await list(
        `correlation_id=${correlationId}&limit=10${cursor ? `&cursor=${cursor}` : ''}`,
        bearer,
      )
      seen.push(...page.entries.map(({ id }) => id))
      cursor = page.next_cursor
    } while (cursor)
    expect(seen).toEqual(ids)
    const both = await list(
      `correlation_id=${correlationId}&actor=pager-0&outcome=failure&service=fraud`,
      bearer,
    )
    expect(both.entries).toHaveLength(5)
    expect((await list(`subject=tx-7&correlation_id=${correlationId}`, bearer)).entries).toHaveLength(1)
    expect((await list('action=AUDIT_READ&actor=auditor', bearer)).entries[0]?.details).toMatchObject({
      results: 1,
    })
  })

  test("another tenant's entry answers like one that is not there", async () => {
    const mine = (await list('limit=1', await tokenOf(auditor))).entries[0]!.id
    const stranger = await tokenOf({ ...grant, client_id: 'other', client_secret: 'other-secret' })
    expect((await list('limit=1000', stranger)).entries.every(({ actor }) => actor.id === 'other')).toBe(true)
    const bodies = await Promise.all(
      [mine, newId(), 'no-id'].map(async (id) => {
        const answer = await get(`/api/v1/audit/entries/${id}`, stranger)
        expect(answer.status).toBe(404)
        const { instance: _own, ...rest } = (await answer.json()) as Record<string, unknown>
        return rest
      }),
    )
    expect(bodies[0]).toEqual(bodies[1])
    expect(bodies[0]).toEqual(bodies[2])
  })

  test('when the entry cannot be written, nothing is shown and no token is given', async () => {
    const bearer = await tokenOf(auditor)
    const { id } = (await list('limit=1', bearer)).entries[0]!
    const { rows } = await admin.query<{ definition: string }>(
      `SELECT pg_get_functiondef('audit.append(uuid, text)'::regprocedure) AS definition`,
    )
    await admin.query(`CREATE OR REPLACE FUNCTION audit.append(entry_id uuid, entry text) RETURNS timestamptz
      LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'the disk is full' USING ERRCODE = 'disk_full'; END $$`)
    try {
      const reads = ['', `/${id}`, `/${id}/proof`].map((path) => get(`/api/v1/audit/entries${path}`, bearer))
      for (const answer of await Promise.all([...reads, form(auditor)])) {
        expect(answer.status).toBeGreaterThanOrEqual(500)
        expect(answer.headers.get('content-type')).toMatch(/problem\+json/)
        expect(await answer.text()).not.toMatch(/TOKEN_ISSUED|access_token|c2sp|disk/)
      }
    } finally {
      await admin.query(rows[0]!.definition)
    }
    expect((await form(auditor)).status).toBe(200)
  })
})

describe('the log', () => {
  const untilSequenced = async () => {
    await expect
      .poll(async () => (await admin.query('SELECT FROM audit.pending')).rowCount, { timeout: 5000 })
      .toBe(0)
  }
  const published = async () => {
    const note = parseNote(await (await get('/log/checkpoint')).text())
    const key = parseVerificationKey((await (await get('/log/keys')).text()).trim())
    expect(isSignedBy(note, key)).toBe(true)
    return parseCheckpoint(note.text)
  }

  test('an entry is proved by its bytes alone, and the log only grows', async () => {
    await untilSequenced()
    const before = await published()
    const id = await appendAudit(admin, {
      tenant: 'default',
      service: 'imaging',
      actor: { type: 'system', id: 'test' },
      action: 'AI_ANALYSIS_SUCCESS',
      outcome: 'success',
      correlationId: newId(),
    })
    await untilSequenced()
    const bearer = await tokenOf(auditor)
    await expect.poll(async () => (await get(`/api/v1/audit/entries/${id}/proof`, bearer)).status).toBe(200)
    const text = await (await get(`/api/v1/audit/entries/${id}/proof`, bearer)).text()
    const [head, ...hashes] = text.slice(0, text.indexOf('\n\n')).split('\n').slice(1)
    const index = Number(head?.slice('index '.length))
    const { size, root } = parseCheckpoint(parseNote(text.slice(text.indexOf('\n\n') + 2)).text)
    const { rows } = await admin.query('SELECT body FROM audit.entry WHERE id = $1', [id])
    const proof = hashes.map((hash) => Buffer.from(hash, 'base64'))
    expect(
      verifyInclusion({
        index: BigInt(index),
        size: BigInt(size),
        leaf: leafHash(rows[0].body),
        proof,
        root,
      }),
    ).toBe(true)
    const link = await (await get(`/api/v1/audit/consistency?from=${before.size}&to=${size}`, bearer)).text()
    const nodes = link
      .trim()
      .split('\n')
      .map((hash) => Buffer.from(hash, 'base64'))
    expect(
      verifyConsistency({
        oldSize: BigInt(before.size),
        size: BigInt(size),
        proof: nodes,
        oldRoot: before.root,
        root,
      }),
    ).toBe(true)
  })

  test('tiles hold the hashes of the entry bundles; hashes are public, entries are not', async () => {
    await untilSequenced()
    const { size } = await published()
    const width = size % 256
    const name = `${String(Math.floor(size / 256)).padStart(3, '0')}.p/${width}`
    const tile = Buffer.from(await (await get(`/log/tile/0/${name}`)).arrayBuffer())
    expect((await get(`/log/tile/entries/${name}`)).status).toBe(401)
    const bundle = Buffer.from(
      await (await get(`/log/tile/entries/${name}`, await tokenOf(auditor))).arrayBuffer(),
    )
    const leaves = decodeBundle(bundle).map((body) =>
      createHash('sha256').update(Buffer.of(0)).update(body).digest(),
    )
    expect(Buffer.concat(leaves).equals(tile)).toBe(true)
    for (const wrong of [
      '/log/tile/0/999',
      '/log/tile/9/000',
      '/log/tile/0/000.p/0',
      '/log/tile/0/0',
      '/log/tile/0/..%2f',
    ]) {
      expect((await get(wrong)).status, wrong).toBe(404)
    }
  })

  test('two sequencers and many writers: contiguous indices, nothing lost, nothing twice', async () => {
    const second = await startCompliance(
      ComplianceConfig.parse({
        DATABASE_URL: database.url('vigil_compliance'),
        SEQUENCER_DATABASE_URL: database.url('vigil_sequencer'),
        DATA_DIR: mkdtempSync(join(tmpdir(), 'vigil-compliance-')),
        SEQUENCE_INTERVAL_MS: 50,
        DRAIN_DELAY_MS: 0,
      }),
      createLogger('compliance', 'silent'),
    ).catch((error: Error) => error)
    // Another keyring cannot open the token signing key of the first: such a replica must not start.
    expect(second).toBeInstanceOf(Error)
    await admin.query(
      `SELECT audit.append(i, format('{"action":"X_LOAD","actor":{"id":"a","type":"system"},"correlation_id":"%s","id":"%s","outcome":"success","service":"fraud","tenant":"default"}', i, i))
       FROM (SELECT gen_random_uuid() AS i FROM generate_series(1, 5000)) ids`,
    )
    await untilSequenced()
    const { rows } = await admin.query(
      `SELECT count(*)::int AS leaves, max(log_index)::int + 1 AS size, count(DISTINCT entry_id)::int AS ids,
         (SELECT count(*)::int FROM audit.entry) AS entries FROM audit.leaf`,
    )
    const { leaves, size, ids, entries } = rows[0]
    expect([size, ids, entries]).toEqual([leaves, leaves, leaves])
    await expect.poll(async () => (await published()).size).toBe(size)
  })
})
