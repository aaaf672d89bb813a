import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { openDetails } from '#libs/audit'
import { blindIndex, KeyCache, KeyDestroyedError } from '#libs/crypto'
import { createLogger, type RunningService } from '#libs/platform'
import { ImagingConfig, startImaging } from '../apps/imaging/src/start.js'
import { verifyLog } from '../scripts/audit/verify-log.js'
import { freePort } from '../scripts/embedded/port.js'
import { type ComplianceUnderTest, startComplianceUnderTest } from './support/compliance.js'
import { instance } from './support/instance.js'
import { SwitchedKeys } from './support/switched-keys.js'

const ROOT = resolve(import.meta.dirname, '..')
let compliance: ComplianceUnderTest
let imaging: RunningService
let admin: pg.Client
/** Sits where a key management service would: every call of the imaging service goes through its switch. */
let kms: SwitchedKeys

const config = (port = 0) => ({
  DATABASE_URL: compliance.database.url('vigil_imaging'),
  DATA_DIR: compliance.dataDir,
  MODELS_DIR: join(ROOT, 'models'),
  PORT: String(port),
  PIPELINE_BACKOFF_MS: '50',
  SWEEP_INTERVAL_MS: '500',
  DRAIN_DELAY_MS: '0',
  ...compliance.issuer.config,
})

beforeAll(async () => {
  compliance = await startComplianceUnderTest()
  admin = new pg.Client({ connectionString: compliance.database.adminUrl })
  await admin.connect()
  const { keyring } = compliance
  kms = new SwitchedKeys(keyring)
  const cache = new KeyCache(kms)
  const keys = {
    provider: cache,
    derive: (purpose: string) => keyring.derive(purpose),
    close: () => cache.clear(),
  }
  imaging = await startImaging(ImagingConfig.parse(config()), createLogger('imaging', 'silent'), { keys })
})
afterAll(async () => {
  await imaging?.stop()
  await admin?.end()
  await compliance?.stop()
})

/** Another imaging service: another process, with a cache of its own. */
async function startOther(): Promise<string> {
  const port = await freePort(0, '127.0.0.1')
  const child: ChildProcess = spawn(process.execPath, [join(ROOT, 'dist/apps/imaging/src/main.js')], {
    env: { ...process.env, ...config(port), PIPELINE_CONCURRENCY: '0', LOG_LEVEL: 'silent' },
    cwd: ROOT,
    stdio: 'ignore',
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const url = `http://127.0.0.1:${port}`
  const isUp = () =>
    fetch(`${url}/ready`)
      .then(({ ok }) => ok)
      .catch(() => false)
  await expect.poll(isUp, { timeout: 25_000, interval: 200 }).toBe(true)
  return url
}

async function call(url: string, scopes: string[], init: RequestInit = {}) {
  const token = await compliance.issuer.token({ scopes, clientId: 'clinic' })
  const headers = { authorization: `Bearer ${token}`, ...(init.headers as Record<string, string>) }
  const response = await fetch(url, { ...init, headers })
  const text = await response.text()
  const json = /json/.test(response.headers.get('content-type') ?? '') ? JSON.parse(text) : {}
  return { status: response.status, headers: response.headers, json: json as Record<string, unknown>, text }
}

function submit(patient: string, url = imaging.url, wait = 0) {
  const form = new FormData()
  for (const [name, value] of Object.entries({ patient_id: patient, physician_id: 'DR-1', modality: 'CR' }))
    form.append(name, value)
  const bytes = new Uint8Array(instance({ patientName: 'CANARY^ERASED', patientId: patient }))
  form.append('image', new Blob([bytes], { type: 'application/dicom' }), 'x.dcm')
  const headers: Record<string, string> = wait ? { prefer: `wait=${wait}` } : {}
  return call(`${url}/api/v1/images`, ['ai:inference'], { method: 'POST', body: form, headers })
}
const taken = async (patient: string) => {
  const { status, json } = await submit(patient, imaging.url, 25)
  expect([status, json.status]).toEqual([200, 'completed'])
  return json.correlation_id as string
}
const reveal = (id: string, url = imaging.url) =>
  call(`${url}/api/v1/images/${id}/patient`, ['phi:reidentify'], { headers: { 'purpose-of-use': 'TREAT' } })
const download = (id: string, url = imaging.url) =>
  call(`${url}/api/v1/images/${id}/deidentified`, ['data:read'])
const view = (id: string, url = imaging.url) => call(`${url}/api/v1/images/${id}`, ['data:read'])

const person = (sub: string, tenant = 'default') =>
  compliance.client({
    scopes: ['phi:erase', 'approvals:decide', 'holds:write', 'audit:read'],
    clientId: 'console',
    tenant,
    claims: { sub },
  })
interface Body {
  [member: string]: unknown
  id: string
  status: string
}
const refOf = (patient: string) => blindIndex(compliance.patientIndexKey, 'patient', 'default', patient)
const files = () =>
  readdirSync(join(compliance.dataDir, 'blobs'), { recursive: true, withFileTypes: true }).filter((e) =>
    e.isFile(),
  )

/** What the entry of the first look at a patient holds, sealed, of who that was. */
async function whatTheTrailSealed(id: string) {
  const client = new pg.Client({ connectionString: compliance.database.url('vigil_compliance') })
  await client.connect()
  try {
    const { rows } = await admin.query<{ id: string; tenant: string; sealed: string }>(
      `SELECT id, tenant, convert_from(body, 'UTF8')::jsonb #>> '{entry,sealed}' AS sealed FROM audit.entry
       WHERE action = 'PHI_ACCESS' AND outcome = 'success' AND subject_id = $1 LIMIT 1`,
      [id],
    )
    return await openDetails(client, compliance.keyring, rows[0]!)
  } finally {
    await client.end()
  }
}

describe('erasing a patient', () => {
  test('takes two persons; then nothing opens any more, in any process, and every proof still verifies', async () => {
    const other = await startOther()
    const [first, kept] = [await taken('MRN-ERASE-1'), await taken('MRN-KEPT-1')]
    for (const url of [imaging.url, other]) {
      expect((await reveal(first, url)).json.patient_id).toBe('MRN-ERASE-1')
      expect((await download(first, url)).status).toBe(200)
    }
    const { rows: before } = await admin.query(
      'SELECT identity FROM imaging.association WHERE correlation_id = $1',
      [first],
    )
    const earlier = await (await fetch(`${compliance.service.url}/log/checkpoint`)).text()

    const alice = await person('alice')
    const asked = await alice.post<Body>('/api/v1/patients/MRN-ERASE-1/erasure', {
      reason: 'Request of 24 November',
    })
    expect(asked.status).toBe(202)
    expect(asked.body).toMatchObject({
      kind: 'patient.erasure',
      status: 'pending',
      subject: refOf('MRN-ERASE-1'),
    })
    expect(asked.headers.get('location')).toBe(`/api/v1/approvals/${asked.body.id}`)
    expect(JSON.stringify(asked.body)).not.toContain('MRN-ERASE-1')
    expect((await alice.post('/api/v1/patients/MRN-ERASE-1/erasure', { reason: 'Once more' })).status).toBe(
      409,
    )
    expect((await alice.post(`/api/v1/approvals/${asked.body.id}/approval`)).status).toBe(403)
    const waiting = await alice.get<Body>(`/api/v1/patients/${refOf('MRN-ERASE-1')}/erasure`)
    expect(waiting.body).toMatchObject({ status: 'waiting', approval: { id: asked.body.id } })
    expect((await reveal(first)).status).toBe(200)

    const agreed = await (await person('bob')).post<Body>(`/api/v1/approvals/${asked.body.id}/approval`)
    expect([agreed.status, agreed.body.status]).toEqual([200, 'done'])

    for (const url of [imaging.url, other]) {
      expect((await reveal(first, url)).status).toBe(404)
      expect((await download(first, url)).status).toBe(404)
      expect((await view(first, url)).json).toMatchObject({
        status: 'failed',
        failure: { code: 'patient_erased' },
      })
      expect((await view(first, url)).json).not.toHaveProperty('result')
      expect((await reveal(kept, url)).json.patient_id).toBe('MRN-KEPT-1')
      expect((await download(kept, url)).status).toBe(200)
    }
    const { rows: after } = await admin.query(
      'SELECT identity FROM imaging.association WHERE correlation_id = $1',
      [first],
    )
    expect(after).toEqual(before)
    const { rows: keys } = await admin.query(
      `SELECT (SELECT count(*)::int FROM keys.data_key WHERE subject = $1 AND wrapped IS NOT NULL) AS patient,
         (SELECT count(*)::int FROM imaging.blob b JOIN imaging.image i ON b.id IN (i.original, i.deidentified)
          WHERE i.patient_ref = $1 AND b.wrapped_key IS NOT NULL) AS files`,
      [refOf('MRN-ERASE-1')],
    )
    expect(keys).toEqual([{ patient: 0, files: 0 }])
    await expect(whatTheTrailSealed(first)).rejects.toThrow(KeyDestroyedError)
    expect(await whatTheTrailSealed(kept)).toMatchObject({ patient_id: 'MRN-KEPT-1' })
    expect((await submit('MRN-ERASE-1')).status).toBe(409)
    expect((await submit('MRN-ERASE-1', other)).json.detail).toMatch(/was erased/)

    const done = await alice.post<Body>('/api/v1/patients/MRN-ERASE-1/erasure', { reason: 'And again' })
    expect([done.status, done.body.status]).toEqual([200, 'erased'])
    const { rows: entries } = await admin.query(
      `SELECT action, outcome, convert_from(body, 'UTF8') AS body FROM audit.entry
       WHERE subject_id = ANY($1) ORDER BY recorded_at`,
      [[asked.body.id, refOf('MRN-ERASE-1')]],
    )
    expect(entries.map(({ action, outcome }) => `${action} ${outcome}`)).toEqual([
      'APPROVAL_REQUESTED success',
      'APPROVAL_GRANTED denied',
      'APPROVAL_GRANTED success',
      'PATIENT_ERASED success',
    ])
    expect(JSON.parse(entries.at(-1).body).entry.details).toEqual({
      approval: asked.body.id,
      destroyed: { data_keys: expect.any(Number), files: 2, images: 1 },
    })
    expect(JSON.stringify(entries)).not.toContain('MRN-ERASE-1')

    const token = await compliance.issuer.token({ scopes: ['audit:read'] })
    const size = async () =>
      Number((await admin.query('SELECT count(*)::int AS n FROM audit.pending')).rows[0].n)
    await expect.poll(size, { timeout: 10_000 }).toBe(0)
    const verified = await verifyLog({ url: compliance.service.url, token, earlier })
    expect(verified).toMatchObject({ ok: true })
  })

  test('a legal hold stops it: at the request, and when it comes between request and agreement', async () => {
    await taken('MRN-HELD-1')
    const [alice, bob] = [await person('alice'), await person('bob')]
    const path = '/api/v1/patients/MRN-HELD-1/erasure'
    const asked = await alice.post<Body>(path, { reason: 'Request' })
    expect(asked.status).toBe(202)
    const hold = await bob.post<Body>('/api/v1/legal-holds', { patient: 'MRN-HELD-1', reason: 'Lawsuit' })
    expect(hold.status).toBe(201)
    const refused = await bob.post<Body>(`/api/v1/approvals/${asked.body.id}/approval`)
    expect(refused.status).toBe(409)
    await bob.post(`/api/v1/approvals/${asked.body.id}/rejection`)
    expect((await alice.post<Body>(path, { reason: 'Request' })).body.detail).toMatch(/legal hold/)
    expect((await alice.get<Body>(path)).body).toEqual({ patient_ref: refOf('MRN-HELD-1'), status: 'none' })
  })

  test.each([
    ['nobody like that', 'default', ['phi:erase'], 404],
    ['MRN-KEPT-1', 'other', ['phi:erase'], 404],
    ['MRN-KEPT-1', 'default', ['audit:read', 'phi:reidentify', 'approvals:decide'], 403],
  ])('%s of the tenant %s with %j: %i', async (patient, tenant, scopes, status) => {
    const client = await compliance.client({ scopes, tenant, clientId: 'console', claims: { sub: 'eve' } })
    const path = `/api/v1/patients/${encodeURIComponent(patient)}/erasure`
    expect((await client.post(path, { reason: 'Because' })).status).toBe(status)
  })

  test('a request says why', async () => {
    const answer = await (await person('alice')).post<Body>('/api/v1/patients/MRN-KEPT-1/erasure', {})
    expect(answer.status).toBe(400)
    expect(JSON.stringify(answer.body)).toContain('/reason')
  })

  test('files whose keys were destroyed are removed as garbage', async () => {
    const id = await taken('MRN-GARBAGE')
    const { rows } = await admin.query(`SELECT original FROM imaging.image WHERE correlation_id = $1`, [id])
    expect(files().map(({ name }) => name)).toContain(rows[0].original)
    const asked = await (await person('alice')).post<Body>('/api/v1/patients/MRN-GARBAGE/erasure', {
      reason: 'Request',
    })
    await (await person('bob')).post(`/api/v1/approvals/${asked.body.id}/approval`)
    const settings = { ...config(), BLOB_GARBAGE_AFTER_MS: '1000', PIPELINE_CONCURRENCY: '0' }
    const sweeping = await startImaging(ImagingConfig.parse(settings), createLogger('imaging', 'silent'))
    onTestFinished(() => sweeping.stop())
    await new Promise((resolve) => setTimeout(resolve, 1_100))
    const again = await startImaging(ImagingConfig.parse(settings), createLogger('imaging', 'silent'))
    onTestFinished(() => again.stop())
    await expect
      .poll(() => files().map(({ name }) => name), { timeout: 10_000 })
      .not.toContain(rows[0].original)
  })
})

test('how far a rotation came is a metric, and stays one while the database is asked in vain', async () => {
  await admin.query(
    `INSERT INTO keys.rotation (id, version, seen, rewrapped, total) VALUES (gen_random_uuid(), 'local 9', 7, 5, 20)`,
  )
  const text = await (await fetch(`${compliance.service.url}/metrics`)).text()
  for (const line of ['seen"} 7', 'rewrapped"} 5', 'total"} 20', 'unfinished"} 1'])
    expect(text).toContain(`vigil_key_rotation_keys{state="${line}`)
  await admin.query('REVOKE SELECT ON keys.rotation FROM vigil_compliance')
  const again = await fetch(`${compliance.service.url}/metrics`)
  expect([again.status, (await again.text()).includes('vigil_key_rotation_keys{state="seen"} 7')]).toEqual([
    200,
    true,
  ])
  await admin.query('GRANT SELECT ON keys.rotation TO vigil_compliance; DELETE FROM keys.rotation')
})

describe('a key management service that is away', () => {
  test('what is known is read, what needs a new key answers 503 and leaves nothing; it recovers by itself', async () => {
    const id = await taken('MRN-OUTAGE-1')
    const before = { files: files().length, images: await imagesStored() }
    expect((await reveal(id)).status).toBe(200)
    expect((await download(id)).status).toBe(200)
    kms.down = true
    for (let n = 0; n < 5; n++) {
      expect((await reveal(id)).json.patient_id).toBe('MRN-OUTAGE-1')
      expect((await download(id)).status).toBe(200)
    }
    const refused = await submit('MRN-OUTAGE-2')
    expect(refused.status).toBe(503)
    expect(refused.headers.get('retry-after')).toMatch(/^\d+$/)
    expect(refused.json.type).toBe('urn:vigil:problem:unavailable')
    expect(refused.text).not.toMatch(/key management/)
    expect({ files: files().length, images: await imagesStored() }).toEqual(before)
    kms.down = false
    await taken('MRN-OUTAGE-2')
  })

  test('an image that was taken in before the outage is finished after it', async () => {
    const queued = await submit('MRN-OUTAGE-3')
    kms.down = true
    expect(queued.status).toBe(202)
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    kms.down = false
    const id = queued.json.correlation_id as string
    await expect.poll(async () => (await view(id)).json.status, { timeout: 20_000 }).toBe('completed')
  })
})

const imagesStored = async () =>
  (await admin.query('SELECT count(*)::int AS n FROM imaging.image')).rows[0].n as number

test.each<[string, (bytes: Buffer) => Buffer]>([
  ['with a flipped bit', (bytes) => Buffer.from(bytes.map((byte, at) => (at === 90 ? byte ^ 1 : byte)))],
  ['cut', (bytes) => bytes.subarray(0, bytes.length - 20)],
  ['with a tag of 4 bytes', (bytes) => bytes.subarray(0, bytes.length - 12)],
])(
  'a file that was altered on the disk, %s, is not handed out, and that is recorded',
  async (_how, alter) => {
    const id = await taken('MRN-DISK')
    const { rows } = await admin.query('SELECT deidentified FROM imaging.image WHERE correlation_id = $1', [
      id,
    ])
    const found = files().find(({ name }) => name === rows[0].deidentified)!
    const path = join(found.parentPath, found.name)
    const bytes = readFileSync(path)
    writeFileSync(path, alter(bytes))
    const token = await compliance.issuer.token({ scopes: ['data:read'], clientId: 'clinic' })
    const read = async () => {
      const response = await fetch(`${imaging.url}/api/v1/images/${id}/deidentified`, {
        headers: { authorization: `Bearer ${token}` },
      })
      return { status: response.status, text: await response.text() }
    }
    const refused = await read()
    expect(refused.status).toBe(500)
    expect(JSON.parse(refused.text)).toMatchObject({ type: 'urn:vigil:problem:internal' })
    const { rows: trail } = await admin.query(
      `SELECT actor_id, outcome FROM audit.entry WHERE action = 'IMAGE_DAMAGED' AND subject_id = $1`,
      [id],
    )
    expect(trail).toEqual([{ actor_id: 'clinic', outcome: 'failure' }])
    writeFileSync(path, bytes)
    expect((await read()).status).toBe(200)
  },
)

test('a ciphertext that was moved to another row, column or tenant by SQL opens nowhere, and nothing of it leaves', async () => {
  const [mine, other] = [await taken('MRN-MOVE-1'), await taken('MRN-MOVE-1')]
  const moves = [
    'UPDATE imaging.association SET identity = (SELECT identity FROM imaging.association WHERE correlation_id = $2) WHERE correlation_id = $1',
    'UPDATE imaging.association SET identity = finding WHERE correlation_id = $1 AND $2::uuid IS NOT NULL',
  ]
  const { rows } = await admin.query('SELECT identity FROM imaging.association WHERE correlation_id = $1', [
    mine,
  ])
  for (const sql of moves) {
    await admin.query(sql, [mine, other])
    const answer = await reveal(mine)
    expect(answer.status).toBe(500)
    expect(answer.text).not.toContain('MRN-MOVE-1')
    await admin.query('UPDATE imaging.association SET identity = $2 WHERE correlation_id = $1', [
      mine,
      rows[0].identity,
    ])
  }
  await admin.query(`UPDATE imaging.association SET tenant = 'other' WHERE correlation_id = $1`, [mine])
  const token = await compliance.issuer.token({
    scopes: ['phi:reidentify'],
    tenant: 'other',
    clientId: 'clinic',
  })
  const stolen = await fetch(`${imaging.url}/api/v1/images/${mine}/patient`, {
    headers: { authorization: `Bearer ${token}`, 'purpose-of-use': 'TREAT' },
  })
  expect(stolen.status).toBe(404)
  await admin.query(`UPDATE imaging.association SET tenant = 'default' WHERE correlation_id = $1`, [mine])
  expect((await reveal(mine)).json.patient_id).toBe('MRN-MOVE-1')
  const { rows: trail } = await admin.query(
    `SELECT outcome, count(*)::int AS n FROM audit.entry
     WHERE action = 'PHI_ACCESS' AND subject_id = $1 GROUP BY 1 ORDER BY 1`,
    [mine],
  )
  expect(trail).toEqual([
    { outcome: 'denied', n: 1 },
    { outcome: 'failure', n: 2 },
    { outcome: 'success', n: 1 },
  ])
})
