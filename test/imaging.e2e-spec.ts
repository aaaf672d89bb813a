import { type ChildProcess, spawn } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { Model } from '#libs/inference'
import { createLogger, isUuid, type RunningService } from '#libs/platform'
import { parseInstance } from '../apps/imaging/src/deidentify/dicom/parse.js'
import type { AnalysisModel } from '../apps/imaging/src/imaging.js'
import { decodeFrame } from '../apps/imaging/src/pixels/decode.js'
import { ImagingConfig, startImaging } from '../apps/imaging/src/start.js'
import { simulateInstance } from '../scripts/simulate/dicom/study.js'
import { createTestDatabase, type TestDatabase } from './support/database.js'
import { instance } from './support/instance.js'
import { type Issuer, startIssuer } from './support/issuer.js'
import { shared } from './support/shared.js'

const ROOT = resolve(import.meta.dirname, '..')
const CANARY = { name: 'CANARYNAME^JOSEPHINE', id: 'CANARYID-77120', physician: 'CANARYDOC-9' }
const CANARIES = ['CANARYNAME', 'JOSEPHINE', 'CANARYID', 'CANARYDOC', 'CANARY^PHYSICIAN']
const MAX_BYTES = 2 * 1024 * 1024

let database: TestDatabase
let issuer: Issuer
let admin: pg.Client
let dataDir: string
const lines: string[] = []
const bodies: string[] = []

const configFor = (settings: Record<string, string> = {}) => ({
  DATABASE_URL: database.url('vigil_imaging'),
  ...(process.env.TEST_REDIS_URL ? { REDIS_URL: process.env.TEST_REDIS_URL } : {}),
  DATA_DIR: dataDir,
  MODELS_DIR: join(ROOT, 'models'),
  MAX_IMAGE_BYTES: String(MAX_BYTES),
  PIPELINE_BACKOFF_MS: '50',
  QUEUE_LOCK_MS: '2000',
  SWEEP_INTERVAL_MS: '500',
  STALLED_AFTER_S: '3',
  DRAIN_DELAY_MS: '10',
  ...issuer.config,
  ...settings,
})
const logger = () => createLogger('imaging', 'debug', { write: (line: string) => void lines.push(line) })
const start = (settings?: Record<string, string>, models?: AnalysisModel[]) =>
  startImaging(ImagingConfig.parse(configFor(settings)), logger(), models ? { models } : {})

/** A service that lives as long as the test, however that ends: its worker must not take another test's jobs. */
async function startForTest(...options: Parameters<typeof start>): Promise<RunningService> {
  const service = await start(...options)
  onTestFinished(() => service.stop())
  return service
}

beforeAll(async () => {
  database = await createTestDatabase()
  issuer = await startIssuer()
  admin = new pg.Client({ connectionString: database.adminUrl })
  await admin.connect()
  dataDir = mkdtempSync(join(tmpdir(), 'vigil-imaging-'))
})
afterAll(async () => {
  await admin.end()
  await issuer.stop()
  await database.drop()
  rmSync(dataDir, { recursive: true, force: true })
})

type Json = Record<string, unknown>
interface Answer {
  status: number
  headers: Headers
  json: Json
}

async function call(
  url: string,
  scopes: string[],
  init: RequestInit = {},
  tenant = 'default',
): Promise<Answer> {
  const token = await issuer.token({ scopes, tenant, clientId: 'clinic' })
  const response = await fetch(url, {
    ...init,
    headers: { authorization: `Bearer ${token}`, ...(init.headers as Record<string, string>) },
  })
  const text = await response.text()
  bodies.push(text)
  const json = /json/.test(response.headers.get('content-type') ?? '') ? (JSON.parse(text) as Json) : {}
  return { status: response.status, headers: response.headers, json }
}

interface Form {
  image?: Buffer | null
  fields?: Record<string, string | null>
  edit?: (form: FormData) => void
}

function formOf({ image, fields = {}, edit }: Form): FormData {
  const form = new FormData()
  const picture = image === undefined ? instance({ patientName: CANARY.name, patientId: CANARY.id }) : image
  const values = { patient_id: CANARY.id, physician_id: CANARY.physician, modality: 'CR', ...fields }
  for (const [name, value] of Object.entries(values)) if (value !== null) form.append(name, value)
  if (picture)
    form.append('image', new Blob([new Uint8Array(picture)], { type: 'application/dicom' }), 'x.dcm')
  edit?.(form)
  return form
}

const submit = (service: { url: string }, form: Form = {}, headers: Record<string, string> = {}) =>
  call(`${service.url}/api/v1/images`, ['ai:inference'], { method: 'POST', body: formOf(form), headers })

const view = (service: { url: string }, id: unknown, tenant?: string) =>
  call(`${service.url}/api/v1/images/${id}`, ['data:read'], {}, tenant)

const untilDone = async (service: { url: string }, id: unknown, timeout = 25_000): Promise<Json> => {
  await expect
    .poll(async () => (await view(service, id)).json.finished_at, { timeout, interval: 100 })
    .toBeTruthy()
  return (await view(service, id)).json
}

interface Entry {
  action: string
  outcome: string
  details?: Json
  purpose_of_use?: string
  patient_ref?: string
  sealed?: string
  actor: Json
}
async function entriesOf(correlationId: unknown): Promise<Entry[]> {
  const { rows } = await admin.query(
    `SELECT convert_from(body, 'UTF8')::jsonb -> 'entry' AS entry FROM audit.entry
     WHERE correlation_id = $1 ORDER BY recorded_at`,
    [correlationId],
  )
  return rows.map(({ entry }) => entry)
}

const blobFiles = () =>
  readdirSync(join(dataDir, 'blobs'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
const countOf = async (table: string) =>
  Number((await admin.query(`SELECT count(*) FROM ${table}`)).rows[0].count)

const unfinished = async () =>
  (await admin.query("SELECT 1 FROM imaging.image WHERE status IN ('queued', 'processing')")).rowCount

describe('the imaging service', () => {
  let service: RunningService
  beforeAll(async () => {
    service = await start()
  })
  afterAll(() => service.stop())

  test('an image is taken in, analysed and answered; its trail tells the story', async () => {
    const receipt = await submit(service)
    expect(receipt.status).toBe(202)
    const id = receipt.json.correlation_id as string
    expect(isUuid(id) && id[14]).toBe('7')
    expect(receipt.json).toEqual({
      correlation_id: id,
      status: 'queued',
      status_url: `/api/v1/images/${id}`,
    })
    expect(receipt.headers.get('x-correlation-id')).toBe(id)
    const done = await untilDone(service, id)
    expect(done).toMatchObject({
      status: 'completed',
      modality: 'CR',
      deidentification: { outcome: 'clean' },
      result: { model: { name: 'chest-xray-pneumonia', version: 'v1' } },
    })
    const { prediction, confidence, findings } = done.result as {
      prediction: string
      confidence: number
      findings: { label: string; probability: number }[]
    }
    expect(['normal', 'pneumonia']).toContain(prediction)
    expect(confidence).toBe(findings.find(({ label }) => label === prediction)?.probability)
    expect((done.steps as Json[]).map(({ name, status }) => [name, status])).toEqual([
      ['deidentify', 'done'],
      ['decode', 'done'],
      ['analyse', 'done'],
      ['associate', 'done'],
    ])
    const trail = await entriesOf(id)
    expect(trail.map(({ action, outcome }) => [action, outcome])).toEqual([
      ['AI_ANALYSIS_REQUEST', 'success'],
      ['AI_ANALYSIS_SUCCESS', 'success'],
    ])
    expect(trail[0]?.patient_ref).toBe(trail[1]?.patient_ref)
    // Who it is of stands in the entry, sealed (libs/audit/src/sealed.ts).
    expect(trail[0]?.sealed).toMatch(/^[A-Za-z0-9+/]{100,}=*$/)
    expect(trail[0]?.actor).toEqual({ type: 'client', id: 'clinic' })
  })

  test('the same pixels give the result that the model gives by itself', async () => {
    const flat = instance({ patientName: 'A^B', patientId: 'same', size: 28 })
    const done = (await submit(service, { image: flat }, { prefer: 'wait=20' })).json
    const model = await Model.load(join(ROOT, 'models/chest-xray-pneumonia/v1'))
    const picture = flat.subarray(flat.length - 28 * 28)
    const range = { low: Math.min(...picture), high: Math.max(...picture) }
    const data = Float32Array.from(
      picture,
      (value) => Math.round(((value - range.low) * 255) / (range.high - range.low)) / 255,
    )
    const outputs = await model.run({ image: { data, dims: [1, 1, 28, 28] } })
    await model.close()
    const findings = (done.result as { findings: { label: string; probability: number }[] }).findings
    const expected = outputs.probability?.data[0]
    expect(findings.find(({ label }) => label === 'pneumonia')?.probability).toBeCloseTo(expected!, 6)
  })

  test('with Prefer: wait it answers with the result', async () => {
    const done = await submit(service, {}, { prefer: 'respond-async, wait=20' })
    expect(done.status).toBe(200)
    expect(done.headers.get('preference-applied')).toBe('wait=20')
    expect(done.json).toMatchObject({ status: 'completed', result: { prediction: expect.any(String) } })
  })

  test('a correlation ID of the caller comes back, but is never the image’s', async () => {
    const given = randomUUID()
    const receipt = await submit(service, {}, { 'x-correlation-id': given })
    expect(receipt.headers.get('x-correlation-id')).toBe(given)
    expect(receipt.json.correlation_id).not.toBe(given)
  })

  test('a modality without a model is completed, and says so honestly', async () => {
    const image = instance({ patientName: CANARY.name, patientId: CANARY.id, modality: 'MR' })
    const done = await submit(service, { image, fields: { modality: 'MR' } }, { prefer: 'wait=20' })
    expect(done.json).toMatchObject({
      status: 'completed',
      result: { prediction: null, confidence: null, model: null, reason: { code: 'no_model_for_modality' } },
    })
    expect((done.json.steps as Json[]).map(({ status }) => status)).toEqual([
      'done',
      'skipped',
      'skipped',
      'done',
    ])
  })

  test('an image that says it is something else is not scored', async () => {
    const image = instance({ patientName: CANARY.name, patientId: CANARY.id, modality: 'CT' })
    const done = await submit(service, { image }, { prefer: 'wait=20' })
    expect(done.json).toMatchObject({ result: { prediction: null, reason: { code: 'out_of_domain' } } })
  })

  test('a name that is burned into the pixels is blacked out, and the image passes', async () => {
    const { bytes, planted } = simulateInstance({ seed: 11, kind: 'US', burnedIn: true })
    const done = await submit(service, { image: bytes, fields: { modality: 'US' } }, { prefer: 'wait=25' })
    expect(done.json).toMatchObject({
      status: 'completed',
      deidentification: { actions: { 'replace-pixels': 1 } },
    })
    const token = await issuer.token({ scopes: ['data:read'], clientId: 'clinic' })
    const response = await fetch(`${service.url}/api/v1/images/${done.json.correlation_id}/deidentified`, {
      headers: { authorization: `Bearer ${token}` },
    })
    const decoded = await decodeFrame(parseInstance(Buffer.from(await response.arrayBuffer())))
    if (decoded.kind !== 'frame') throw new Error(JSON.stringify(decoded))
    const { data, columns, samplesPerPixel } = decoded.frame
    const places = planted.filter(({ category }) => category === 'pixels').map(({ place }) => place)
    expect(places.length).toBeGreaterThanOrEqual(3)
    for (const place of places) {
      const [x, y, width, height] = place.match(/\d+/g)!.slice(-4).map(Number) as [
        number,
        number,
        number,
        number,
      ]
      const shades = new Set<number>()
      for (let row = y; row < y + height; row++)
        for (let column = x; column < x + width; column++)
          shades.add(data[(row * columns + column) * samplesPerPixel]!)
      expect([...shades], place).toHaveLength(1)
    }
  })

  test('what cannot be made clean is quarantined, not passed', async () => {
    const image = instance({
      patientName: CANARY.name,
      patientId: CANARY.id,
      more: [['00280302', 'CS', 'YES']],
    })
    const done = await submit(service, { image }, { prefer: 'wait=20' })
    expect(done.json).toMatchObject({
      status: 'quarantined',
      failure: { code: 'recognizable_visual_features' },
    })
    expect(done.json).not.toHaveProperty('result')
    const { correlation_id: id } = done.json
    expect((await call(`${service.url}/api/v1/images/${id}/deidentified`, ['data:read'])).status).toBe(404)
    expect((await entriesOf(id)).map(({ action }) => action)).toEqual([
      'AI_ANALYSIS_REQUEST',
      'AI_ANALYSIS_ERROR',
    ])
  })

  test('the de-identified instance can be read back, without the patient', async () => {
    const { json } = await submit(service, {}, { prefer: 'wait=20' })
    const token = await issuer.token({ scopes: ['data:read'] })
    const response = await fetch(`${service.url}/api/v1/images/${json.correlation_id}/deidentified`, {
      headers: { authorization: `Bearer ${token}` },
    })
    const bytes = Buffer.from(await response.arrayBuffer())
    expect(response.headers.get('content-type')).toBe('application/dicom')
    expect(response.headers.get('x-content-type-options')).toBe('nosniff')
    expect(response.headers.get('content-disposition')).toMatch(/^attachment; filename="[0-9a-f-]{36}\.dcm"$/)
    expect(bytes.subarray(128, 132).toString()).toBe('DICM')
    for (const canary of [...CANARIES, '19510203', '20260102']) expect(bytes.includes(canary)).toBe(false)
  })

  describe('the patient behind an image', () => {
    const patient = (id: unknown, purpose?: string, tenant?: string) =>
      call(
        `${service.url}/api/v1/images/${id}/patient`,
        ['phi:reidentify'],
        purpose ? { headers: { 'purpose-of-use': purpose } } : {},
        tenant,
      )

    test('comes with a purpose, after the entry that says who asked', async () => {
      const { json } = await submit(service, {}, { prefer: 'wait=20' })
      const id = json.correlation_id
      const answer = await patient(id, 'TREAT')
      bodies.pop()
      expect(answer.json).toMatchObject({
        correlation_id: id,
        patient_id: CANARY.id,
        physician_id: CANARY.physician,
      })
      expect(answer.headers.get('cache-control')).toBe('no-store')
      const access = (await entriesOf(id)).at(-1)
      expect(access).toMatchObject({
        action: 'PHI_ACCESS',
        outcome: 'success',
        purpose_of_use: 'TREAT',
        id: answer.json.audit_entry_id,
      })
    })

    test.each([undefined, 'CURIOSITY', 'treat', 'TREAT, HRESCH'])(
      'purpose %s is refused',
      async (purpose) => {
        const answer = await patient(randomUUID(), purpose)
        expect(answer.status).toBe(400)
        expect(JSON.stringify(answer.json)).toContain('purpose-of-use')
      },
    )

    test('needs a scope that readers of results do not have', async () => {
      const { json } = await submit(service)
      const url = `${service.url}/api/v1/images/${json.correlation_id}/patient`
      const headers = { 'purpose-of-use': 'TREAT' }
      expect((await call(url, ['data:read', 'ai:inference'], { headers })).status).toBe(403)
    })

    test('stays hidden when the entry cannot be written', async () => {
      const { json } = await submit(service, {}, { prefer: 'wait=20' })
      await admin.query('REVOKE EXECUTE ON FUNCTION audit.append(uuid, text) FROM vigil_app')
      try {
        const answer = await patient(json.correlation_id, 'TREAT')
        expect(answer.status).toBe(500)
        expect(JSON.stringify(answer.json)).not.toContain('CANARY')
        const refused = await submit(service)
        expect(refused.status).toBe(500)
      } finally {
        await admin.query('GRANT EXECUTE ON FUNCTION audit.append(uuid, text) TO vigil_app')
      }
    })

    test('of another tenant is as missing as one that never was', async () => {
      const { json } = await submit(service, {}, { prefer: 'wait=20' })
      const id = json.correlation_id
      const missing = await patient(randomUUID(), 'TREAT', 'other')
      const foreign = await patient(id, 'TREAT', 'other')
      const { instance: _, ...body } = foreign.json
      const { instance: __, ...expected } = missing.json
      expect([foreign.status, body]).toEqual([404, expected])
      expect((await entriesOf(id)).at(-1)).toMatchObject({ action: 'PHI_ACCESS', outcome: 'denied' })
      for (const path of ['', '/deidentified']) {
        const answers = await Promise.all(
          [id, randomUUID(), 'nonsense'].map((name) =>
            call(`${service.url}/api/v1/images/${name}${path}`, ['data:read'], {}, 'other'),
          ),
        )
        expect(answers.map(({ status }) => status)).toEqual([404, 404, 404])
        expect(
          new Set(answers.map(({ json: { instance: ___, ...rest } }) => JSON.stringify(rest))).size,
        ).toBe(1)
      }
    })

    test('is unreadable once the patient’s key is destroyed; the trail stays', async () => {
      const fields = { patient_id: 'to-be-erased' }
      const { json } = await submit(service, { fields }, { prefer: 'wait=20' })
      const id = json.correlation_id
      await admin.query(
        `UPDATE keys.data_key SET wrapped = NULL, destroyed_at = now() WHERE subject =
         (SELECT patient_ref FROM imaging.image WHERE correlation_id = $1)`,
        [id],
      )
      expect((await patient(id, 'TREAT')).status).toBe(404)
      expect((await view(service, id)).status).toBe(200)
    })

    test('does not open when its sealed row is moved to another image', async () => {
      const [one, two] = [await submit(service), await submit(service)]
      await admin.query(
        `UPDATE imaging.association SET identity =
           (SELECT identity FROM imaging.association WHERE correlation_id = $1) WHERE correlation_id = $2`,
        [one.json.correlation_id, two.json.correlation_id],
      )
      expect((await patient(two.json.correlation_id, 'TREAT')).status).toBe(500)
    })
  })

  describe('bad input', () => {
    const good = instance({ patientName: CANARY.name, patientId: CANARY.id })
    const file = (name = 'x.dcm') =>
      [new Blob([new Uint8Array(good)], { type: 'application/dicom' }), name] as const

    beforeAll(() =>
      vi.waitFor(async () => expect(await unfinished()).toBe(0), { timeout: 20_000, interval: 100 }),
    )

    const cases: [string, Form, number, string][] = [
      ['no patient', { fields: { patient_id: null } }, 400, '/patient_id'],
      ['an empty patient', { fields: { patient_id: '  ' } }, 400, '/patient_id'],
      ['a patient of 65 characters', { fields: { patient_id: 'x'.repeat(65) } }, 400, '/patient_id'],
      ['a patient of a megabyte', { fields: { patient_id: 'x'.repeat(1_000_000) } }, 400, '/patient_id'],
      ['a control character', { fields: { patient_id: 'a\u0007b' } }, 400, '/patient_id'],
      ['a line feed', { fields: { physician_id: 'a\nb' } }, 400, '/physician_id'],
      ['a backslash', { fields: { physician_id: 'a\\b' } }, 400, '/physician_id'],
      ['no physician', { fields: { physician_id: null } }, 400, '/physician_id'],
      ['no modality', { fields: { modality: null } }, 400, '/modality'],
      ['an unknown modality', { fields: { modality: 'ZZ' } }, 400, '/modality'],
      ['a lower-case modality', { fields: { modality: 'cr' } }, 400, '/modality'],
      ['an unknown field', { fields: { extra: '1' } }, 400, '/extra'],
      ['no image', { image: null }, 400, '/image'],
      ['an image that is a field', { image: null, fields: { image: 'x' } }, 400, '/image'],
      ['a field twice', { edit: (form) => form.append('modality', 'CT') }, 400, '/modality'],
      ['an image twice', { edit: (form) => form.append('image', ...file()) }, 400, '/image'],
      ['another file', { edit: (form) => form.append('notes', ...file()) }, 400, '/notes'],
      [
        'a file as patient',
        { fields: { patient_id: null }, edit: (form) => form.append('patient_id', ...file()) },
        400,
        '/patient_id',
      ],
      ['a member of Object', { edit: (form) => form.append('__proto__', 'x') }, 400, ''],
      [
        'twenty fields',
        { fields: Object.fromEntries(Array.from({ length: 20 }, (_, at) => [`f${at}`, 'x'])) },
        400,
        '',
      ],
      [
        'a picture of another kind',
        {
          image: null,
          edit: (form) => form.append('image', new Blob(['x'], { type: 'image/png' }), 'x.png'),
        },
        415,
        '/image',
      ],
      ['an image past the limit', { image: Buffer.concat([good, Buffer.alloc(MAX_BYTES)]) }, 413, '/image'],
      ['an image far past the limit', { image: Buffer.alloc(10 * MAX_BYTES) }, 413, '/image'],
      ['an empty image', { image: Buffer.alloc(0) }, 422, '/image'],
      ['text', { image: Buffer.from(`${CANARY.name} is not DICOM `.repeat(50)) }, 422, '/image'],
      ['a JPEG', { image: Buffer.from('ffd8ffe000104a464946', 'hex') }, 422, '/image'],
      ['a truncated image', { image: good.subarray(0, good.length - 100) }, 422, '/image'],
      ['an image cut in its header', { image: good.subarray(0, 300) }, 422, '/image'],
      ['a header alone', { image: good.subarray(0, 132) }, 422, '/image'],
    ]

    test.each(cases)('%s is refused by name, and nothing is kept', async (_case, form, status, pointer) => {
      const before = [await countOf('imaging.image'), await countOf('imaging.blob'), blobFiles().length]
      const answer = await submit(service, form)
      expect(answer.status).toBe(status)
      expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/)
      expect((answer.json.errors as Json[] | undefined)?.map((error) => error.pointer)).toContain(pointer)
      expect([await countOf('imaging.image'), await countOf('imaging.blob'), blobFiles().length]).toEqual(
        before,
      )
      if (status !== 422) return
      const [entry] = await entriesOf(answer.headers.get('x-correlation-id'))
      expect(entry).toMatchObject({
        action: 'IMAGE_REJECTED',
        outcome: 'failure',
        details: { defect: expect.stringMatching(/^[a-z_]+$/) },
      })
    })

    test.each([
      ['JSON', 'application/json', '{}', 415],
      ['no content type', '', 'x', 415],
      ['a form without boundary', 'multipart/form-data', 'x', 400],
      [
        'a form that is cut',
        'multipart/form-data; boundary=b',
        '--b\r\ncontent-disposition: form-data; na',
        400,
      ],
      [
        'invalid UTF-8',
        'multipart/form-data; boundary=b',
        Buffer.concat([
          Buffer.from('--b\r\ncontent-disposition: form-data; name="patient_id"\r\n\r\n'),
          Buffer.from([0xff, 0xfe]),
          Buffer.from('\r\n--b--\r\n'),
        ]),
        400,
      ],
    ])('%s is refused', async (_case, type, body, status) => {
      const answer = await call(`${service.url}/api/v1/images`, ['ai:inference'], {
        method: 'POST',
        body: typeof body === 'string' ? Buffer.from(body) : new Uint8Array(body),
        headers: type ? { 'content-type': type } : {},
      })
      expect(answer.status).toBe(status)
      expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/)
    })

    test('an upload that breaks off leaves nothing', async () => {
      const before = blobFiles().length
      const token = await issuer.token({ scopes: ['ai:inference'] })
      await new Promise<void>((done) => {
        const upload = request(`${service.url}/api/v1/images`, {
          method: 'POST',
          headers: { authorization: `Bearer ${token}`, 'content-type': 'multipart/form-data; boundary=b' },
        })
        upload.on('error', () => done())
        upload.write('--b\r\ncontent-disposition: form-data; name="image"; filename="x"\r\n')
        upload.write('content-type: application/dicom\r\n\r\n')
        upload.write(good.subarray(0, 3_000))
        setTimeout(() => upload.destroy(), 300)
      })
      await expect.poll(() => blobFiles().length).toBe(before)
    })

    test.each([
      ['no token', undefined, 401],
      ['another scope', ['data:read'], 403],
    ])('%s is refused before anything is read', async (_case, scopes, status) => {
      const token = scopes && (await issuer.token({ scopes }))
      const response = await fetch(`${service.url}/api/v1/images`, {
        method: 'POST',
        body: formOf({}),
        headers: token ? { authorization: `Bearer ${token}` } : {},
      })
      expect(response.status).toBe(status)
    })
  })
})

describe('a model that fails', () => {
  test('is tried again; then the image is failed, audited, and de-identified all the same', async () => {
    const real = await Model.load(join(ROOT, 'models/chest-xray-pneumonia/v1'))
    let runs = 0
    const failing: AnalysisModel = {
      card: real.card,
      digest: real.digest,
      run: async () => {
        runs += 1
        throw new Error(`${CANARY.name} in an error of a library`)
      },
    }
    const service = await startForTest({ PIPELINE_ATTEMPTS: '3' }, [failing])
    const { json } = await submit(service, {}, { prefer: 'wait=20' })
    expect(json).toMatchObject({ status: 'failed', failure: { code: 'analyse_failed' } })
    expect(runs).toBe(3)
    expect((json.steps as Json[]).find(({ name }) => name === 'analyse')).toMatchObject({
      status: 'failed',
      attempt: 3,
    })
    const trail = await entriesOf(json.correlation_id)
    expect(trail.map(({ action }) => action)).toEqual(['AI_ANALYSIS_REQUEST', 'AI_ANALYSIS_ERROR'])
    expect(trail[1]?.details).toMatchObject({ code: 'analyse_failed', attempt: 3 })
    await real.close()
  })

  test('that recovers in time is forgiven', async () => {
    const real = await Model.load(join(ROOT, 'models/chest-xray-pneumonia/v1'))
    let runs = 0
    const flaky: AnalysisModel = {
      card: real.card,
      digest: real.digest,
      run: (inputs) => {
        runs += 1
        if (runs < 3) throw new Error('out of memory')
        return real.run(inputs)
      },
    }
    const service = await startForTest({ PIPELINE_ATTEMPTS: '4' }, [flaky])
    const { json } = await submit(service, {}, { prefer: 'wait=20' })
    expect(json.status).toBe('completed')
    expect((await entriesOf(json.correlation_id)).map(({ action }) => action)).toEqual([
      'AI_ANALYSIS_REQUEST',
      'AI_ANALYSIS_SUCCESS',
    ])
    await real.close()
  })

  test('a job that was lost is found by the sweeper', async () => {
    const idle = await start({ PIPELINE_CONCURRENCY: '0', SWEEP_INTERVAL_MS: '3600000' })
    const { json } = await submit(idle)
    await idle.stop()
    // As if the queue had forgotten it between the relay and the worker.
    await admin.query('DELETE FROM imaging.outbox')
    await admin.query('UPDATE imaging.image SET job_id = gen_random_uuid() WHERE correlation_id = $1', [
      json.correlation_id,
    ])
    const service = await startForTest()
    expect((await untilDone(service, json.correlation_id)).status).toBe('completed')
  })
})

describe('kill -9', () => {
  const serve = async (): Promise<{ url: string; child: ChildProcess }> => {
    const child = spawn(
      process.execPath,
      [
        '--conditions=project-source',
        '--import',
        './test/support/typescript.mjs',
        'apps/imaging/src/main.ts',
      ],
      {
        cwd: ROOT,
        env: { PATH: process.env.PATH, ...configFor({ PIPELINE_CONCURRENCY: '2' }) },
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    )
    onTestFinished(() => void child.kill('SIGKILL'))
    const url = await new Promise<string>((resolve, reject) => {
      child.once('exit', (code) => reject(new Error(`the service ended with ${code}`)))
      child.stdout.on('data', (chunk: Buffer) => {
        lines.push(chunk.toString())
        const found = /"url":"([^"]+)"/.exec(chunk.toString())
        if (found?.[1]) resolve(found[1])
      })
    })
    return { url, child }
  }
  const killed = (child: ChildProcess, signal: NodeJS.Signals = 'SIGKILL') =>
    new Promise<number | null>((resolve) => {
      child.once('exit', resolve)
      child.kill(signal)
    })

  test('in the middle of the pipeline: every image still ends exactly once', async () => {
    const first = await serve()
    // Whoever wants to write an association waits: runs stand before their last step.
    const blocker = new pg.Client({ connectionString: database.adminUrl })
    const receipts: Answer[] = []
    receipts.push(...(await Promise.all(Array.from({ length: 4 }, () => submit(first)))))
    await Promise.all(receipts.map(({ json }) => untilDone(first, json.correlation_id)))
    await blocker.connect()
    await blocker.query('BEGIN; LOCK TABLE imaging.step IN EXCLUSIVE MODE')
    receipts.push(...(await Promise.all(Array.from({ length: 6 }, () => submit(first)))))
    expect(receipts.every(({ status }) => status === 202)).toBe(true)
    await expect
      .poll(
        async () => (await admin.query("SELECT 1 FROM imaging.image WHERE status = 'processing'")).rowCount,
      )
      .toBe(2)
    await killed(first.child)
    await blocker.query('ROLLBACK')
    await blocker.end()
    const second = await serve()
    for (const { json } of receipts) {
      const done = await untilDone(second, json.correlation_id, 30_000)
      expect(done.status).toBe('completed')
      expect((await entriesOf(json.correlation_id)).map(({ action }) => action)).toEqual([
        'AI_ANALYSIS_REQUEST',
        'AI_ANALYSIS_SUCCESS',
      ])
    }
    expect(await killed(second.child, 'SIGTERM')).toBe(0)
  }, 120_000)

  test('at random moments: what was acknowledged ends exactly once, nothing else is there', async () => {
    const acknowledged: unknown[] = []
    for (let round = 0; round < 4; round++) {
      const { url, child } = await serve()
      const sending = Array.from({ length: 6 }, () =>
        submit({ url }).then(
          ({ status, json }) => status === 202 && acknowledged.push(json.correlation_id),
          () => undefined,
        ),
      )
      await new Promise((resolve) => setTimeout(resolve, 60 + round * 70))
      await killed(child)
      await Promise.all(sending)
    }
    const last = await serve()
    await expect
      .poll(
        async () =>
          (await admin.query("SELECT 1 FROM imaging.image WHERE status IN ('queued', 'processing')"))
            .rowCount,
        { timeout: 60_000 },
      )
      .toBe(0)
    const { rows } = await admin.query(`
      SELECT correlation_id AS id, status,
        (SELECT count(*) FROM audit.entry e WHERE e.correlation_id = i.correlation_id AND action = 'AI_ANALYSIS_REQUEST') AS requests,
        (SELECT count(*) FROM audit.entry e WHERE e.correlation_id = i.correlation_id
          AND action IN ('AI_ANALYSIS_SUCCESS', 'AI_ANALYSIS_ERROR')) AS endings
      FROM imaging.image i`)
    for (const { id, requests, endings } of rows) expect([id, requests, endings]).toEqual([id, '1', '1'])
    const status = new Map(rows.map((row) => [row.id, row.status]))
    for (const id of acknowledged) expect(status.get(id)).toBe('completed')
    const orphans = await admin.query(`
      SELECT DISTINCT correlation_id FROM audit.entry WHERE action = 'AI_ANALYSIS_REQUEST'
      EXCEPT SELECT correlation_id FROM imaging.image`)
    expect(orphans.rowCount).toBe(0)
    await killed(last.child, 'SIGTERM')
  }, 180_000)

  test('what the dead left on disk is collected', async () => {
    const referred = new Set((await admin.query('SELECT id FROM imaging.blob')).rows.map(({ id }) => id))
    const folder = join(dataDir, 'blobs', 'original', 'aa')
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, randomUUID()), 'a file whose transaction never committed')
    writeFileSync(join(folder, `${randomUUID()}.draft`), 'half an upload')
    await new Promise((resolve) => setTimeout(resolve, 1_100))
    await startForTest({ BLOB_GARBAGE_AFTER_MS: '1000' })
    await expect
      .poll(() => blobFiles().every((path) => referred.has(path.slice(-36))), { timeout: 10_000 })
      .toBe(true)
    expect(blobFiles()).toHaveLength(referred.size)
  })
})

describe('real files', () => {
  const folder = shared('data/dicom')
  test.skipIf(!folder)(
    'each ends in one of the states, none keeps the service busy',
    async () => {
      const service = await startForTest({
        MAX_IMAGE_BYTES: String(64 * 1024 * 1024),
        PIPELINE_CONCURRENCY: '2',
        // Looking at pixels is proved on its own; here it would take minutes.
        BURNED_IN_TEXT: 'quarantine',
      })
      const names = readdirSync(folder!).filter((name) => name.endsWith('.dcm'))
      const outcomes = new Map<string, number>()
      for (const name of names) {
        const image = readFileSync(join(folder!, name))
        const { status, json } = await submit(service, { image }, { prefer: 'wait=30' })
        const outcome = status === 200 ? String(json.status) : String(status)
        expect([
          name,
          ['completed', 'quarantined', '422'].includes(outcome) ? 'fine' : [outcome, json],
        ]).toEqual([name, 'fine'])
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
      }
      console.info('real files', Object.fromEntries(outcomes))
    },
    180_000,
  )
})

describe('canaries', () => {
  const found = (text: string) => CANARIES.filter((canary) => text.includes(canary))

  test('no log line, metric or answer holds one', async () => {
    const service = await startForTest()
    const metrics = await (await fetch(`${service.url}/metrics`)).text()
    expect(metrics).toMatch(/imaging_images_total\{status="completed"\} [1-9]/)
    expect(metrics).toMatch(/imaging_step_duration_seconds_count\{step="analyse",outcome="done"\} [1-9]/)
    expect(lines.length).toBeGreaterThan(100)
    expect(found(metrics)).toEqual([])
    for (const line of lines) expect(found(line)).toEqual([])
    for (const body of bodies) expect(found(body)).toEqual([])
  })

  test('no column of any table holds one, in clear, in hex, in base64, or as a plain hash', async () => {
    const { rows: tables } = await admin.query(`
      SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables
      WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`)
    expect(tables.length).toBeGreaterThan(15)
    const forms = [CANARY.id, CANARY.name, CANARY.physician, ...CANARIES].flatMap((text) => [
      text,
      Buffer.from(text).toString('hex'),
      Buffer.from(text).toString('base64').replace(/=+$/, '').slice(0, -1),
      createHash('sha256').update(text).digest('hex'),
      createHash('sha256').update(text).digest('base64url'),
    ])
    let seen = 0
    for (const { name } of tables) {
      const { rows } = await admin.query(`SELECT to_jsonb(t)::text AS row FROM ${name} t`)
      for (const { row } of rows) {
        seen += 1
        // bytea shows as hex: what is JSON in there is looked into as text, too.
        const text = `${row}\n${row.replace(/\\\\x((?:[0-9a-f]{2})+)/g, (_: string, hex: string) => Buffer.from(hex, 'hex').toString('latin1'))}`
        expect([name, forms.filter((form) => text.includes(form))]).toEqual([name, []])
      }
    }
    expect(seen).toBeGreaterThan(100)
  })

  test('no file holds one', () => {
    const files = readdirSync(dataDir, { recursive: true, withFileTypes: true }).filter((entry) =>
      entry.isFile(),
    )
    expect(files.length).toBeGreaterThan(10)
    for (const entry of files) {
      const text = readFileSync(join(entry.parentPath, entry.name), 'latin1')
      expect(found(`${entry.name}\n${text}`)).toEqual([])
    }
  })
})
