import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createLogger, type RunningService } from '#libs/platform'
import { ImagingConfig, startImaging } from '../apps/imaging/src/start.js'
import { createTestDatabase, type TestDatabase } from './support/database.js'
import { instance } from './support/instance.js'
import { type Issuer, startIssuer } from './support/issuer.js'

const PATIENT = 'CANARYID-4471'
const EXPLANATION = 'Unconscious CANARYNAME in the emergency room, allergies unknown'

let database: TestDatabase
let issuer: Issuer
let admin: pg.Client
let service: RunningService
let dataDir: string
const lines: string[] = []

beforeAll(async () => {
  database = await createTestDatabase()
  issuer = await startIssuer()
  admin = new pg.Client({ connectionString: database.adminUrl })
  await admin.connect()
  dataDir = mkdtempSync(join(tmpdir(), 'vigil-break-glass-'))
  const config = ImagingConfig.parse({
    DATABASE_URL: database.url('vigil_imaging'),
    DATA_DIR: dataDir,
    MODELS_DIR: resolve(import.meta.dirname, '../models'),
    PIPELINE_CONCURRENCY: '0',
    DRAIN_DELAY_MS: '0',
    ...issuer.config,
  })
  const logger = createLogger('imaging', 'debug', { write: (line: string) => void lines.push(line) })
  service = await startImaging(config, logger, { models: [] })
})
afterAll(async () => {
  await service?.stop()
  await admin.end()
  await issuer.stop()
  await database.drop()
  rmSync(dataDir, { recursive: true, force: true })
})

type Json = Record<string, unknown>
interface Who {
  clientId: string
  scopes: string[]
  tenant?: string
}
const EMERGENCY: Who = { clientId: 'emergency', scopes: ['phi:break-glass', 'data:read'] }
const COLLEAGUE: Who = { ...EMERGENCY, clientId: 'colleague' }
const STRANGER: Who = { ...EMERGENCY, tenant: 'other' }
const OFFICER: Who = { clientId: 'officer', scopes: ['break-glass:review'] }

async function call(who: Who, path: string, init: { body?: unknown; purpose?: string | null } = {}) {
  const { body, purpose = 'ETREAT' } = init
  const response = await fetch(`${service.url}/api/v1${path}`, {
    headers: {
      authorization: `Bearer ${await issuer.token(who)}`,
      ...(purpose ? { 'purpose-of-use': purpose } : {}),
      ...(body ? { 'content-type': 'application/json' } : {}),
    },
    ...(body ? { method: 'POST', body: JSON.stringify(body) } : {}),
  })
  const text = await response.text()
  return { status: response.status, text, json: (text ? JSON.parse(text) : {}) as Json }
}

async function submit(): Promise<string> {
  const form = new FormData()
  for (const [name, value] of Object.entries({ patient_id: PATIENT, physician_id: 'doc', modality: 'CR' }))
    form.append(name, value)
  const picture = instance({ patientName: 'A^B', patientId: PATIENT })
  form.append('image', new Blob([new Uint8Array(picture)], { type: 'application/dicom' }), 'x.dcm')
  const token = await issuer.token({ scopes: ['ai:inference'], clientId: 'clinic' })
  const response = await fetch(`${service.url}/api/v1/images`, {
    method: 'POST',
    body: form,
    headers: { authorization: `Bearer ${token}` },
  })
  return ((await response.json()) as { correlation_id: string }).correlation_id
}

const BREAKING = { reason: 'BTG', explanation: EXPLANATION }
const breakGlass = (id: string, who = EMERGENCY) => call(who, `/images/${id}/break-glass`, { body: BREAKING })
const look = (grant: unknown, who = EMERGENCY) => call(who, `/break-glass/${grant}/patient`)

interface Entry extends Json {
  action: string
  outcome: string
}
async function entriesOf(subject: unknown): Promise<Entry[]> {
  const { rows } = await admin.query(
    `SELECT convert_from(body, 'UTF8')::jsonb -> 'entry' AS entry FROM audit.entry
     WHERE subject_id = $1 ORDER BY recorded_at`,
    [subject],
  )
  return rows.map(({ entry }) => entry)
}
const countOf = async (table: string) =>
  Number((await admin.query(`SELECT count(*) FROM ${table}`)).rows[0].count)
const metric = async (event: string) =>
  Number(
    new RegExp(`break_glass_total\\{event="${event}"\\} (\\d+)`).exec(
      await (await fetch(`${service.url}/metrics`)).text(),
    )?.[1] ?? 0,
  )

test('an emergency: granted with a reason, looked at, alerted, judged by somebody else', async () => {
  const image = await submit()
  const usual = await call({ clientId: 'emergency', scopes: ['data:read'] }, `/images/${image}/patient`)
  expect(usual.status).toBe(403)

  const before = [await metric('granted'), await metric('read')]
  const { status, json: receipt } = await breakGlass(image)
  expect(status).toBe(201)
  const grant = receipt.grant_id as string
  expect(receipt).toMatchObject({
    correlation_id: image,
    patient_url: `/api/v1/break-glass/${grant}/patient`,
  })
  const minutes = (Date.parse(receipt.expires_at as string) - Date.now()) / 60_000
  expect(minutes).toBeGreaterThan(59)
  expect(minutes).toBeLessThanOrEqual(60)
  for (let times = 0; times < 2; times++)
    expect((await look(grant)).json).toMatchObject({
      correlation_id: image,
      patient_id: PATIENT,
      physician_id: 'doc',
    })

  const trail = await entriesOf(grant)
  expect(trail.map(({ action, outcome }) => [action, outcome])).toEqual([
    ['BREAK_GLASS_GRANTED', 'success'],
    ['BREAK_GLASS_READ', 'success'],
    ['BREAK_GLASS_READ', 'success'],
  ])
  expect(trail[0]).toMatchObject({
    id: receipt.audit_entry_id,
    purpose_of_use: 'ETREAT',
    correlation_id: image,
    details: { reason: 'BTG' },
    sealed: expect.any(String),
    actor: { type: 'client', id: 'emergency' },
  })
  expect(trail[0]?.patient_ref).toBe(trail[1]?.patient_ref)

  expect([await metric('granted'), await metric('read')]).toEqual([before[0]! + 1, before[1]! + 2])
  const warnings = lines
    .map((line) => JSON.parse(line))
    .filter((line) => line.level === 'warn' && line.grant === grant)
  expect(warnings.map(({ msg }) => msg)).toEqual([
    'the glass is broken',
    'a look through broken glass',
    'a look through broken glass',
  ])
  const event = await admin.query(
    "SELECT 1 FROM imaging.outbox WHERE queue = 'break-glass' AND subject = $1",
    [grant],
  )
  expect(event.rowCount).toBe(1)

  const queued = (await call(OFFICER, '/break-glass')).json.grants as Json[]
  expect(queued.find(({ grant_id }) => grant_id === grant)).toMatchObject({ reads: 2, reason: 'BTG' })
  expect((await call(OFFICER, `/break-glass/${grant}`)).json).toMatchObject({ explanation: EXPLANATION })
  expect((await call(OFFICER, `/break-glass/${grant}`, { purpose: null })).status).toBe(400)
  const judge = () =>
    call(OFFICER, `/break-glass/${grant}/review`, {
      body: { outcome: 'justified', note: 'CANARYNAME was treated' },
    })
  expect((await judge()).status).toBe(204)
  expect((await judge()).status).toBe(409)
  const ids = async (status: string) =>
    ((await call(OFFICER, `/break-glass?status=${status}`)).json.grants as Json[]).map(
      ({ grant_id }) => grant_id,
    )
  expect(await ids('unreviewed')).not.toContain(grant)
  expect(await ids('reviewed')).toContain(grant)
  expect((await entriesOf(grant)).slice(3).map(({ action, outcome }) => [action, outcome])).toEqual([
    ['BREAK_GLASS_EXAMINED', 'success'],
    ['BREAK_GLASS_REVIEWED', 'success'],
    ['BREAK_GLASS_REVIEWED', 'denied'],
  ])
})

describe('the glass does not break', () => {
  test('without its entry: nothing is granted, nothing shown', async () => {
    const image = await submit()
    const { json } = await breakGlass(image)
    const before = [await countOf('imaging.break_glass'), await countOf('imaging.outbox')]
    await admin.query('REVOKE EXECUTE ON FUNCTION audit.append(uuid, text) FROM vigil_app')
    try {
      const refused = [
        await breakGlass(image),
        await look(json.grant_id),
        await call(OFFICER, '/break-glass'),
      ]
      for (const { status, text } of refused) {
        expect(status).toBe(500)
        expect(text).not.toContain('CANARY')
      }
    } finally {
      await admin.query('GRANT EXECUTE ON FUNCTION audit.append(uuid, text) TO vigil_app')
    }
    expect([await countOf('imaging.break_glass'), await countOf('imaging.outbox')]).toEqual(before)
    expect(await entriesOf(json.grant_id)).toHaveLength(1)
  })

  test.each([
    ['another reason', { ...BREAKING, reason: 'TREAT' }, '/reason'],
    ['no explanation', { reason: 'BTG' }, '/explanation'],
    ['a word of explanation', { ...BREAKING, explanation: 'CANARY   ' }, '/explanation'],
    ['a novel', { ...BREAKING, explanation: 'CANARY '.repeat(1_000) }, '/explanation'],
    ['more than is asked', { ...BREAKING, minutes: 600 }, '/minutes'],
  ])('for %s', async (_case, body, pointer) => {
    const { status, json, text } = await call(EMERGENCY, `/images/${randomUUID()}/break-glass`, { body })
    expect(status).toBe(400)
    expect((json.errors as Json[])[0]?.pointer).toBe(pointer)
    expect(text).not.toContain('CANARY')
  })

  test.each([null, 'CURIOSITY'])('for the purpose %s', async (purpose) => {
    const image = await submit()
    expect((await call(EMERGENCY, `/images/${image}/break-glass`, { body: BREAKING, purpose })).status).toBe(
      400,
    )
    const { json } = await breakGlass(image)
    expect((await call(EMERGENCY, `/break-glass/${json.grant_id}/patient`, { purpose })).status).toBe(400)
  })

  test('for another tenant’s image: as missing as one that never was, and the attempt is recorded', async () => {
    const image = await submit()
    const answers = [await breakGlass(image, STRANGER), await breakGlass(randomUUID(), STRANGER)]
    expect(answers.map(({ status }) => status)).toEqual([404, 404])
    const [one, other] = answers.map(({ json: { instance: _, ...rest } }) => rest)
    expect(one).toEqual(other)
    expect(await entriesOf(image)).toContainEqual(
      expect.objectContaining({ action: 'BREAK_GLASS_GRANTED', outcome: 'denied', tenant: 'other' }),
    )
  })

  test('for anybody but who broke it, nor longer than its time', async () => {
    const { json } = await breakGlass(await submit())
    const grant = json.grant_id
    expect((await look(grant, COLLEAGUE)).status).toBe(404)
    expect((await look(grant, STRANGER)).status).toBe(404)
    expect((await look(randomUUID())).status).toBe(404)
    await admin.query(
      `UPDATE imaging.break_glass SET granted_at = granted_at - interval '61 minutes',
         expires_at = expires_at - interval '61 minutes' WHERE id = $1`,
      [grant],
    )
    const late = await look(grant)
    expect([late.status, late.json.detail]).toEqual([403, 'The time of the grant is over'])
    const outcomes = (await entriesOf(grant)).map(({ action, outcome }) => `${action} ${outcome}`)
    expect(outcomes.filter((text) => text === 'BREAK_GLASS_READ denied')).toHaveLength(3)
  })

  test('for who may look patients up in the usual way, but not break it', async () => {
    const image = await submit()
    expect(
      (await breakGlass(image, { clientId: 'x', scopes: ['phi:reidentify', 'break-glass:review'] })).status,
    ).toBe(403)
  })
})

test('nobody judges what they did themselves', async () => {
  const { json } = await breakGlass(await submit())
  const both: Who = { ...EMERGENCY, scopes: [...EMERGENCY.scopes, 'break-glass:review'] }
  const own = await call(both, `/break-glass/${json.grant_id}/review`, { body: { outcome: 'justified' } })
  expect(own.status).toBe(403)
  expect((await entriesOf(json.grant_id)).at(-1)).toMatchObject({
    action: 'BREAK_GLASS_REVIEWED',
    outcome: 'denied',
  })
})

test('once the patient is erased nothing is shown any more, and the explanation is gone, too', async () => {
  const { json } = await breakGlass(await submit())
  const saved = await admin.query('SELECT id, wrapped FROM keys.data_key')
  await admin.query('UPDATE keys.data_key SET wrapped = NULL, destroyed_at = now()')
  expect((await look(json.grant_id)).status).toBe(404)
  expect((await call(OFFICER, `/break-glass/${json.grant_id}`)).json).toMatchObject({ explanation: null })
  for (const { id, wrapped } of saved.rows)
    await admin.query('UPDATE keys.data_key SET wrapped = $2, destroyed_at = NULL WHERE id = $1', [
      id,
      wrapped,
    ])
})

test('the service itself cannot change or delete what happened', async () => {
  const client = new pg.Client({ connectionString: database.url('vigil_imaging') })
  await client.connect()
  for (const table of ['break_glass', 'break_glass_read', 'break_glass_review'])
    for (const statement of [`DELETE FROM imaging.${table}`, `TRUNCATE imaging.${table}`])
      await expect(client.query(statement)).rejects.toThrow(/permission denied/)
  await expect(client.query("UPDATE imaging.break_glass SET expires_at = 'infinity'")).rejects.toThrow(
    /permission denied/,
  )
  await client.end()
})

test('no explanation, note or patient stands anywhere in clear', async () => {
  for (const line of lines) expect(line).not.toContain('CANARY')
  const { rows } = await admin.query(`
    SELECT to_jsonb(g)::text AS row FROM imaging.break_glass g
    UNION ALL SELECT to_jsonb(r)::text FROM imaging.break_glass_review r
    UNION ALL SELECT to_jsonb(o)::text FROM imaging.outbox o
    UNION ALL SELECT convert_from(e.body, 'UTF8') FROM audit.entry e`)
  expect(rows.length).toBeGreaterThan(20)
  for (const { row } of rows) {
    const text = String(row).replace(/\\\\x((?:[0-9a-f]{2})+)/g, (_, hex: string) =>
      Buffer.from(hex, 'hex').toString('latin1'),
    )
    expect(text).not.toContain('CANARY')
  }
})
