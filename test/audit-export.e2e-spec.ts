import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parse } from 'csv-parse/sync'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { appendAudit, ExportHeader, ExportVerifier } from '#libs/audit'
import { blindIndex } from '#libs/crypto'
import { newId } from '#libs/platform'
import { freePort } from '../scripts/embedded/port.js'
import { type ComplianceUnderTest, type HttpClient, startComplianceUnderTest } from './support/compliance.js'
import { validateFhir } from './support/fhir.js'

interface ExportView {
  id: string
  status: string
  entries: { done: number; total: number | null }
  content?: { url: string; sha256: string; bytes: number; media_type: string }
  proofs?: { url: string; sha256: string; bytes: number }
}

const PATIENT = 'MRN-CANARY-77'
const FORMULA = `=cmd|' /C calc'!A0`
let compliance: ComplianceUnderTest
let admin: pg.Client
let auditor: HttpClient
let patientRef: string

const entry = (at: number, tenant = 'default') => ({
  ...{
    tenant,
    service: 'imaging' as const,
    outcome: at % 5 === 0 ? ('denied' as const) : ('success' as const),
  },
  actor: {
    type: at % 2 ? ('user' as const) : ('client' as const),
    id: at === 3 ? FORMULA : `person-${at % 7}`,
  },
  action: ['PHI_ACCESS', 'AI_ANALYSIS_REQUEST', 'TRANSACTION_DECIDED', 'SOMETHING_NEW'][at % 4]!,
  subject: { type: 'image', id: at === 4 ? '\t@SUM(1)' : `image-${at}` },
  ...(at % 3 === 0 ? { patientRef, purposeOfUse: 'TREAT' } : {}),
  correlationId: newId(),
  details: { note: `line\r\n"quoted", ${at}`, nested: { at } },
})

async function until<T>(look: () => Promise<T>, isThere: (seen: T) => boolean): Promise<T> {
  for (let tries = 0; tries < 1200; tries++) {
    const seen = await look()
    if (isThere(seen)) return seen
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error('It did not come')
}

const untilSequenced = () =>
  until(
    async () => (await admin.query('SELECT FROM audit.pending')).rowCount,
    (pending) => pending === 0,
  )

const finished = (who: HttpClient, id: string): Promise<ExportView> =>
  until(
    async () => (await who.get<ExportView>(`/api/v1/audit/exports/${id}`)).body,
    ({ status }) => status === 'completed',
  )

async function exportOf(who: HttpClient, body: object): Promise<ExportView> {
  const asked = await who.post<ExportView>('/api/v1/audit/exports', body)
  expect(asked.status).toBe(202)
  expect(asked.body.status).toBe('queued')
  return finished(who, asked.body.id)
}

const download = async (who: HttpClient, file: { url: string; sha256: string; bytes: number }) => {
  const answer = await who.fetch(file.url)
  expect(answer.status).toBe(200)
  const bytes = Buffer.from(await answer.arrayBuffer())
  expect(bytes.length).toBe(file.bytes)
  expect(createHash('sha256').update(bytes).digest('hex')).toBe(file.sha256)
  return bytes
}

const keys = async () => (await (await fetch(`${compliance.service.url}/log/keys`)).text()).trim().split('\n')
async function verify(bytes: Buffer) {
  const verifier = new ExportVerifier({ keys: await keys() })
  verifier.write(bytes)
  return verifier.end()
}
const headerOf = (bytes: Buffer) =>
  ExportHeader.parse(JSON.parse(bytes.subarray(0, bytes.indexOf('\n')).toString('utf8')))

/** `audit:verify --content` takes the file as it is, and names the entry where a word of it was changed. */
function checkContent(proofs: Buffer, content: Buffer, word: string): void {
  const folder = mkdtempSync(join(tmpdir(), 'vigil-content-'))
  const [proofFile, file] = [join(folder, 'proofs.ndjson'), join(folder, 'content')]
  writeFileSync(proofFile, proofs)
  const told = (bytes: string | Buffer) => {
    writeFileSync(file, bytes)
    const args = ['dist/scripts/audit-verify.js', proofFile, '--content', file]
    return spawnSync(process.execPath, args, { encoding: 'utf8' })
  }
  expect(told(content)).toMatchObject({
    status: 0,
    stdout: expect.stringContaining('what these proofs prove'),
  })
  const forged = told(content.toString().replace(word, 'nobody'))
  expect(forged.status).toBe(2)
  expect(forged.stderr).toMatch(/differs from its proofs at entry \d+/)
  expect(told(`${content}x`).stderr).toContain('differs from its proofs at its end')
}

beforeAll(async () => {
  compliance = await startComplianceUnderTest({ EXPORT_PART_ENTRIES: 20, EXPORT_SWEEP_MS: 200 })
  admin = new pg.Client({ connectionString: compliance.database.adminUrl })
  await admin.connect()
  auditor = await compliance.client({ scopes: ['audit:read'], clientId: 'auditor' })
  patientRef = blindIndex(compliance.patientIndexKey, 'patient', 'default', PATIENT)
  for (let at = 0; at < 70; at++) await appendAudit(admin, entry(at))
  for (let at = 0; at < 9; at++) await appendAudit(admin, entry(at, 'elsewhere'))
  await untilSequenced()
})
afterAll(async () => {
  await admin?.end()
  await compliance?.stop()
})

describe('NDJSON', () => {
  test("of everything is one provable run; what is not the tenant's stands as a hash alone", async () => {
    const made = await exportOf(auditor, { format: 'ndjson' })
    const bytes = await download(auditor, made.content!)
    expect(headerOf(bytes)).toMatchObject({ complete: true, proofs: 'tiles', tenant: 'default', filters: {} })
    const verified = await verify(bytes)
    expect(verified.withheld).toBe(9)
    expect(verified.entries).toBeGreaterThanOrEqual(70)
    expect(made.entries).toEqual({ done: verified.entries + 9, total: verified.entries + 9 })
    expect(bytes.toString()).not.toContain('elsewhere')
    const forged = Buffer.from(bytes.toString().replace('"person-2"', '"person-5"'))
    await expect(verify(forged)).rejects.toThrow(/entry \d+/)
  })

  test('of a selection proves each entry; the patient stands nowhere but as a hash', async () => {
    const made = await exportOf(auditor, {
      format: 'ndjson',
      filters: { patient: PATIENT, outcome: 'success', action: 'PHI_ACCESS' },
    })
    const bytes = await download(auditor, made.content!)
    const expected = Array.from({ length: 70 }, (_, at) => at).filter(
      (at) => at % 3 === 0 && at % 5 && at % 4 === 0,
    )
    expect((await verify(bytes)).entries).toBe(expected.length)
    expect(headerOf(bytes)).toMatchObject({ complete: false, filters: { patientRef } })
    for (const text of [bytes.toString(), JSON.stringify(made), compliance.logLines.join('')])
      expect(text).not.toContain(PATIENT)
    const { rows } = await admin.query(
      `SELECT convert_from(body, 'UTF8') AS body FROM audit.entry WHERE subject_id = $1 ORDER BY recorded_at`,
      [made.id],
    )
    expect(rows.map(({ body }) => JSON.parse(body).entry.action)).toEqual([
      'AUDIT_EXPORTED',
      'AUDIT_EXPORT_DOWNLOADED',
    ])
    expect(JSON.stringify(rows)).not.toContain(PATIENT)
  })

  test('of nothing is whole too', async () => {
    const made = await exportOf(auditor, { format: 'ndjson', filters: { actor: 'nobody' } })
    expect((await verify(await download(auditor, made.content!))).entries).toBe(0)
  })
})

test('CSV holds the same entries, no cell of it a formula, and the proofs beside it verify', async () => {
  const made = await exportOf(auditor, { format: 'csv', filters: { service: 'imaging' } })
  const csv = await download(auditor, made.content!)
  const records = parse(csv, { columns: true }) as Record<string, string>[]
  expect(records).toHaveLength(70)
  for (const cell of records.flatMap(Object.values)) expect(cell).not.toMatch(/^\s*[=+\-@]/)
  expect(records.find(({ actor_id }) => actor_id?.includes('cmd'))?.actor_id).toBe(`'${FORMULA}`)
  expect(JSON.parse(records[9]!.details!)).toEqual({ note: 'line\r\n"quoted", 9', nested: { at: 9 } })
  const proofs = await download(auditor, made.proofs!)
  expect(headerOf(proofs).format).toBe('csv')
  expect((await verify(proofs)).entries).toBe(70)
  const proved = proofs.toString().trim().split('\n').slice(1, -1)
  expect(proved.map((line) => String(JSON.parse(line).log_index))).toEqual(records.map((r) => r.log_index))
  const file = join(mkdtempSync(join(tmpdir(), 'vigil-proofs-')), 'proofs.ndjson')
  writeFileSync(file, proofs)
  const told = spawnSync(process.execPath, ['dist/scripts/audit-verify.js', file], { encoding: 'utf8' })
  expect(told).toMatchObject({
    status: 0,
    stdout: expect.stringContaining('the csv file beside these proofs was not read'),
  })
  checkContent(proofs, csv, 'person-2')
})

test('FHIR is a Bundle of AuditEvents that the R4 definitions accept, with proofs beside it', async () => {
  const made = await exportOf(auditor, { format: 'fhir' })
  const content = await download(auditor, made.content!)
  const bundle = JSON.parse(content.toString())
  expect(validateFhir(bundle)).toEqual([])
  for (const { resource } of bundle.entry) expect(validateFhir(resource)).toEqual([])
  const proofs = await download(auditor, made.proofs!)
  const verified = await verify(proofs)
  checkContent(proofs, content, 'person-2')
  expect(bundle.entry).toHaveLength(verified.entries)
})

test("another tenant's export, one that is deleted and one that expired answer like a missing one", async () => {
  const made = await exportOf(auditor, { format: 'ndjson', filters: { actor: 'person-1' } })
  const eve = await compliance.client({ scopes: ['audit:read'], clientId: 'eve', tenant: 'elsewhere' })
  const paths = (id: string) =>
    ['', '/content', '/proofs'].map((path) => `/api/v1/audit/exports/${id}${path}`)
  for (const path of [...paths(made.id), ...paths(newId()), ...paths('x')])
    expect((await eve.get(path)).status).toBe(404)
  expect((await eve.delete(`/api/v1/audit/exports/${made.id}`)).status).toBe(404)
  const folder = join(compliance.dataDir, 'exports', made.id)
  const stored = readdirSync(folder).map((name) => readFileSync(join(folder, name), 'latin1'))
  expect(stored.length).toBeGreaterThan(0)
  for (const file of stored) expect(file).not.toMatch(/vigil|log_index|person/)
  expect((await auditor.delete(`/api/v1/audit/exports/${made.id}`)).status).toBe(204)
  for (const path of paths(made.id)) expect((await auditor.get(path)).status).toBe(404)
  expect(existsSync(folder)).toBe(false)

  const old = await exportOf(auditor, { format: 'csv', filters: { actor: 'person-1' } })
  await admin.query(`UPDATE exports.export SET expires_at = now() WHERE id = $1`, [old.id])
  expect((await auditor.get(`/api/v1/audit/exports/${old.id}/content`)).status).toBe(404)
  await expect.poll(() => existsSync(join(compliance.dataDir, 'exports', old.id))).toBe(false)
  expect((await auditor.get<ExportView>(`/api/v1/audit/exports/${old.id}`)).body.status).toBe('expired')
})

test.each([
  ['another format', { format: 'pdf' }],
  ['an unknown filter', { format: 'csv', filters: { name: 'x' } }],
  ['a malformed time', { format: 'csv', filters: { from: 'yesterday' } }],
  ['nothing', {}],
])('%s is refused', async (_case, body) => {
  expect((await auditor.post('/api/v1/audit/exports', body)).status).toBe(400)
})

test('without an audit entry there is no export, no list, no proof and no download', async () => {
  const made = await exportOf(auditor, { format: 'ndjson', filters: { actor: 'person-2' } })
  const { rows } = await admin.query(`SELECT id FROM audit.entry WHERE actor_id = 'person-2' LIMIT 1`)
  const count = async () => (await admin.query('SELECT count(*)::int AS n FROM exports.export')).rows[0].n
  const before = await count()
  await admin.query('REVOKE EXECUTE ON FUNCTION audit.append(uuid, text) FROM vigil_app')
  const answers = [
    await auditor.post<string>('/api/v1/audit/exports', { format: 'ndjson' }),
    await auditor.get<string>(made.content!.url),
    await auditor.delete<string>(`/api/v1/audit/exports/${made.id}`),
    await auditor.post<string>('/api/v1/audit/entries/search', {}),
    await auditor.get<string>(`/api/v1/audit/entries/${rows[0].id}`),
    await auditor.get<string>(`/api/v1/audit/entries/${rows[0].id}/proof`),
    await auditor.get<string>('/api/v1/audit/consistency?from=1&to=2'),
  ]
  await admin.query('GRANT EXECUTE ON FUNCTION audit.append(uuid, text) TO vigil_app')
  for (const { status, contentType } of answers) {
    expect(status).toBe(500)
    expect(contentType).toMatch(/problem\+json/)
  }
  expect(await count()).toBe(before)
  expect((await auditor.get(made.content!.url)).status).toBe(200)
})

describe('a service that is killed', () => {
  let child: ChildProcess | undefined
  afterAll(() => void child?.kill('SIGKILL'))

  test('takes an export up where it was, and the result verifies', async () => {
    await admin.query(
      `SELECT audit.append(i, format('{"action":"X_LOAD","actor":{"id":"load","type":"system"},"correlation_id":"%s","id":"%s","outcome":"success","service":"fraud","tenant":"default"}', i, i))
       FROM (SELECT gen_random_uuid() AS i FROM generate_series(1, 1000)) ids`,
    )
    await untilSequenced()
    await compliance.service.stop()
    const port = await freePort(0)
    const start = () =>
      spawn(process.execPath, [resolve(import.meta.dirname, '../dist/apps/compliance/src/main.js')], {
        env: {
          ...process.env,
          PORT: String(port),
          DATA_DIR: compliance.dataDir,
          DATABASE_URL: compliance.database.url('vigil_compliance'),
          SEQUENCER_DATABASE_URL: compliance.database.url('vigil_sequencer'),
          ...compliance.issuer.config,
          ...{ EXPORT_PART_ENTRIES: '20', QUEUE_LOCK_MS: '600', LOG_LEVEL: 'error' },
        },
        stdio: 'inherit',
      })
    const url = `http://127.0.0.1:${port}`
    const who = compliance.clientAt(url, await compliance.issuer.token({ scopes: ['audit:read'] }))
    const ready = () =>
      expect
        .poll(
          () =>
            fetch(`${url}/ready`).then(
              (r) => r.status,
              () => 0,
            ),
          { timeout: 15_000 },
        )
        .toBe(200)
    child = start()
    await ready()
    const asked = await who.post<ExportView>('/api/v1/audit/exports', {
      format: 'csv',
      filters: { actor: 'load' },
    })
    const parts = async () =>
      (await admin.query('SELECT name FROM exports.part WHERE export_id = $1', [asked.body.id])).rows.map(
        ({ name }) => name as string,
      )
    await expect
      .poll(async () => (await parts()).length, { timeout: 10_000, interval: 20 })
      .toBeGreaterThan(10)
    child.kill('SIGKILL')
    const before = await parts()
    expect(before.length).toBeLessThan(100)
    child = start()
    await ready()
    const made = await finished(who, asked.body.id)
    expect(await parts()).toEqual(expect.arrayContaining(before))
    expect((await parts()).some((name) => name.endsWith('-2'))).toBe(true)
    expect(parse(await download(who, made.content!), { columns: true })).toHaveLength(1000)
    const verifier = new ExportVerifier({
      keys: (await (await fetch(`${url}/log/keys`)).text()).trim().split('\n'),
    })
    verifier.write(await download(who, made.proofs!))
    expect(verifier.end().entries).toBe(1000)
    // Two starts of a service on a machine that may be busy.
  }, 90_000)
})
