import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { appendAudit, leafHash, parseNote, sealDetails, verifyInclusion } from '#libs/audit'
import { blindIndex } from '#libs/crypto'
import { newId } from '#libs/platform'
import { type ComplianceUnderTest, type HttpClient, startComplianceUnderTest } from './support/compliance.js'
import { validateFhir } from './support/fhir.js'

const PATIENT = 'MRN-CANARY-528'
const RECIPIENT = { name: 'CANARY County Health Department', address: '1 CANARY Street' }

let compliance: ComplianceUnderTest
let admin: pg.Client
let auditor: HttpClient
let officer: HttpClient
let patientRef: string

interface Accounting {
  disclosures: {
    date: string
    recipient: { name: string | null; address: string | null }
    description: string
    purpose: { code: string }
    audit_entry_id: string
  }[]
  excepted: { purpose: string; ground: string; count: number }[]
  complete: boolean
}

/** A look at who an image is of, as the imaging service records it. */
async function access(purposeOfUse: string, outcome: 'success' | 'denied' = 'success'): Promise<string> {
  const id = newId()
  const tenant = 'default'
  const sealed = await sealDetails(
    admin,
    compliance.keyring,
    { tenant, patientRef, entryId: id },
    { patient_id: PATIENT, physician_id: 'DR-CANARY' },
  )
  await appendAudit(admin, {
    ...{
      id,
      tenant,
      service: 'imaging',
      actor: { type: 'user', id: 'dr-house' },
      action: 'PHI_ACCESS',
      outcome,
    },
    ...{ subject: { type: 'image', id: newId() }, patientRef, correlationId: newId(), purposeOfUse, sealed },
  })
  return id
}

const purpose = (code: string) => ({ 'purpose-of-use': code })
const report = (who: HttpClient, headers = {}, id = PATIENT) =>
  who.get<Accounting>(`/api/v1/patients/${id}/disclosures`, headers)
const record = (body: object, code = 'PUBHLTH') =>
  officer.fetch(`/api/v1/patients/${PATIENT}/disclosures`, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json', ...purpose(code) },
  })

beforeAll(async () => {
  compliance = await startComplianceUnderTest()
  admin = new pg.Client({ connectionString: compliance.database.adminUrl })
  await admin.connect()
  auditor = await compliance.client({ scopes: ['audit:read'], clientId: 'auditor' })
  officer = await compliance.client({
    scopes: ['audit:read', 'phi:reidentify', 'phi:erase', 'approvals:decide'],
    ...{ clientId: 'console', claims: { sub: 'officer' } },
  })
  patientRef = blindIndex(compliance.patientIndexKey, 'patient', 'default', PATIENT)
})
afterAll(async () => {
  await admin?.end()
  await compliance?.stop()
})

describe('the accounting of disclosures', () => {
  test('names who learned of the patient, leaves out what the rule excepts, and says so', async () => {
    for (const code of ['TREAT', 'TREAT', 'HPAYMT', 'HOPERAT', 'PATRQT', 'HRESCH']) await access(code)
    await access('HLEGAL', 'denied')
    const answer = await record({
      recipient: RECIPIENT,
      description: 'Positive CANARY test',
      disclosed_at: '2026-01-02T03:04:05+01:00',
    })
    expect(answer.status).toBe(201)
    const old = await record({
      recipient: RECIPIENT,
      description: 'Long ago',
      disclosed_at: '2015-01-01T00:00:00Z',
    })
    expect(old.status).toBe(201)

    const { status, body } = await report(officer, purpose('PATRQT'))
    expect(status).toBe(200)
    expect(body.complete).toBe(true)
    expect(body.excepted).toEqual([
      { purpose: 'TREAT', ground: 'treatment', basis: '45 CFR 164.528(a)(1)(i)', count: 2 },
      { purpose: 'HPAYMT', ground: 'payment', basis: '45 CFR 164.528(a)(1)(i)', count: 1 },
      { purpose: 'HOPERAT', ground: 'health care operations', basis: '45 CFR 164.528(a)(1)(i)', count: 1 },
      { purpose: 'PATRQT', ground: 'to the individual', basis: '45 CFR 164.528(a)(1)(ii)', count: 1 },
    ])
    expect(body.disclosures).toMatchObject([
      { recipient: { name: 'user dr-house', address: null }, purpose: { code: 'HRESCH' } },
      {
        date: '2026-01-02T02:04:05.000Z',
        recipient: RECIPIENT,
        description: 'Positive CANARY test',
        purpose: { code: 'PUBHLTH', text: 'public health' },
      },
    ])
    // By the keyed hash, and without a purpose: recipients stay sealed.
    const sealed = await report(auditor, {}, patientRef)
    expect(sealed.body.disclosures[1]).toMatchObject({
      recipient: { name: null, address: null },
      description: 'sealed',
    })
    expect((await report(auditor, purpose('PATRQT'))).status).toBe(403)
  })

  test('is itself in the trail, and nothing that identifies is anywhere in clear', async () => {
    const { rows } = await admin.query(
      `SELECT convert_from(body, 'UTF8') AS body FROM audit.entry ORDER BY recorded_at`,
    )
    const everything = rows.map(({ body }) => body).join('') + compliance.logLines.join('')
    expect(everything).toContain('"action":"DISCLOSURES_REPORTED"')
    for (const canary of ['CANARY', PATIENT]) expect(everything).not.toContain(canary)
  })

  test('is not called complete where there are more than it looks through, whatever lies in the period', async () => {
    const busy = 'MRN-CANARY-BUSY'
    const ref = blindIndex(compliance.patientIndexKey, 'patient', 'default', busy)
    await admin.query(
      `SELECT audit.append(id, jsonb_build_object('id', id, 'tenant', 'default', 'service', 'imaging',
         'actor', jsonb_build_object('type', 'client', 'id', 'poller'), 'action', 'PHI_ACCESS', 'outcome', 'success',
         'patient_ref', $1::text, 'purpose_of_use', 'TREAT', 'correlation_id', id)::text)
       FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, 10001)) fresh`,
      [ref],
    )
    await officer.fetch(`/api/v1/patients/${busy}/disclosures`, {
      method: 'POST',
      body: JSON.stringify({ recipient: RECIPIENT, description: 'x', disclosed_at: '2026-01-02T00:00:00Z' }),
      headers: { 'content-type': 'application/json', ...purpose('PUBHLTH') },
    })
    const within = await auditor.get<Accounting>(
      `/api/v1/patients/${busy}/disclosures?to=2026-02-01T00:00:00Z`,
    )
    expect(within.body).toMatchObject({ complete: true, disclosures: [{ date: '2026-01-02T00:00:00.000Z' }] })
    expect((await report(auditor, {}, busy)).body.complete).toBe(false)
  })

  test('knows nothing of another tenant, and refuses what is wrong', async () => {
    const eve = await compliance.client({ scopes: ['audit:read'], clientId: 'eve', tenant: 'elsewhere' })
    for (const id of [PATIENT, patientRef])
      expect((await report(eve, {}, id)).body).toMatchObject({ disclosures: [], excepted: [] })
    expect(
      (await record({ recipient: RECIPIENT, description: 'x', disclosed_at: '2199-01-01T00:00:00Z' })).status,
    ).toBe(400)
    expect((await record({ recipient: {}, description: 'x' })).status).toBe(400)
    expect((await record({ recipient: RECIPIENT, description: 'x' }, 'CURIOSITY')).status).toBe(400)
    expect((await report(officer, purpose('CURIOSITY'))).status).toBe(400)
  })
})

describe('sealed details', () => {
  const open = (id: string, who = officer, headers: Record<string, string> = purpose('HCOMPL')) =>
    who.get<{ status: string; details?: object; audit_entry_id: string }>(
      `/api/v1/audit/entries/${id}/sealed`,
      headers,
    )

  test('are opened for a purpose by who may, and that is in the trail first', async () => {
    const id = await access('HRESCH')
    expect((await open(id, officer, {})).status).toBe(400)
    expect((await open(id, auditor)).status).toBe(403)
    expect((await open(newId())).status).toBe(404)
    const opened = await open(id)
    expect(opened.body).toMatchObject({
      status: 'opened',
      details: { patient_id: PATIENT, physician_id: 'DR-CANARY' },
    })
    const own = await auditor.get(`/api/v1/audit/entries/${opened.body.audit_entry_id}`)
    expect(own.body).toMatchObject({
      action: 'AUDIT_OPENED',
      purpose_of_use: 'HCOMPL',
      patient_ref: patientRef,
      details: { entry: id },
    })
    await admin.query('REVOKE EXECUTE ON FUNCTION audit.append(uuid, text) FROM vigil_app')
    const unrecorded = await open(id)
    await admin.query('GRANT EXECUTE ON FUNCTION audit.append(uuid, text) TO vigil_app')
    expect(unrecorded.status).toBe(500)
    expect(JSON.stringify(unrecorded.body)).not.toContain(PATIENT)
  })

  test('moved into another entry, they do not open', async () => {
    const tenant = 'default'
    const sealed = await sealDetails(
      admin,
      compliance.keyring,
      { tenant, patientRef, entryId: newId() },
      { a: 'b' },
    )
    const id = await appendAudit(admin, {
      ...{
        tenant,
        service: 'imaging',
        actor: { type: 'user', id: 'x' },
        action: 'PHI_ACCESS',
        outcome: 'success',
      },
      ...{ patientRef, correlationId: newId(), sealed },
    })
    expect((await open(id)).status).toBeGreaterThanOrEqual(400)
  })

  test("are gone with the patient's keys; the entry, its proof and the accounting stand", async () => {
    const id = await access('HRESCH')
    const second = await compliance.client({
      scopes: ['approvals:decide'],
      ...{ clientId: 'console', claims: { sub: 'second' } },
    })
    const asked = await officer.post<{ id: string }>(`/api/v1/patients/${PATIENT}/erasure`, {
      reason: 'Asked for it',
    })
    expect(asked.status).toBe(202)
    expect(
      (await second.post<{ status: string }>(`/api/v1/approvals/${asked.body.id}/approval`)).body.status,
    ).toBe('done')

    expect((await open(id)).body).toMatchObject({ status: 'erased' })
    const after = await report(officer, purpose('PATRQT'))
    expect(after.body.disclosures.length).toBeGreaterThan(2)
    expect(after.body.disclosures.find(({ purpose: p }) => p.code === 'PUBHLTH')).toMatchObject({
      recipient: { name: null, address: null },
      description: 'sealed',
    })
    expect((await record({ recipient: RECIPIENT, description: 'x' })).status).toBe(409)

    let proof = ''
    for (let tries = 0; tries < 100 && !proof.includes('\n\n'); tries++) {
      const answer = await auditor.fetch(`/api/v1/audit/entries/${id}/proof`)
      if (answer.status === 200) proof = await answer.text()
      else await new Promise((resolve) => setTimeout(resolve, 50))
    }
    const [head, ...hashes] = proof.slice(0, proof.indexOf('\n\n')).split('\n').slice(1)
    const [, size, root] = parseNote(proof.slice(proof.indexOf('\n\n') + 2)).text.split('\n')
    const { rows } = await admin.query('SELECT body FROM audit.entry WHERE id = $1', [id])
    expect(
      verifyInclusion({
        index: BigInt(head!.slice('index '.length)),
        ...{ size: BigInt(size!), leaf: leafHash(rows[0].body), root: Buffer.from(root!, 'base64') },
        proof: hashes.map((hash) => Buffer.from(hash, 'base64')),
      }),
    ).toBe(true)
  })
})

describe('FHIR', () => {
  interface Bundle {
    total?: number
    link: { relation: string; url: string }[]
    entry: { resource: { id: string; recorded: string; action: string } }[]
  }
  const search = (query: string) => auditor.get<Bundle>(`/fhir/AuditEvent?${query}`)

  test('the capability statement and every page are valid R4', async () => {
    const metadata = await fetch(`${compliance.service.url}/fhir/metadata`)
    expect(metadata.headers.get('content-type')).toMatch(/^application\/fhir\+json/)
    expect(validateFhir(await metadata.json())).toEqual([])
    const page = await search('_count=5')
    expect(page.contentType).toMatch(/^application\/fhir\+json/)
    expect(validateFhir(page.body)).toEqual([])
    for (const { resource } of page.body.entry) expect(validateFhir(resource)).toEqual([])
    const [{ resource }] = page.body.entry as [Bundle['entry'][number]]
    const one = await auditor.get(`/fhir/AuditEvent/${resource.id}`)
    // Its place in the log may have come meanwhile.
    expect(one.body).toMatchObject(resource)
    expect((await auditor.get(`/fhir/AuditEvent/${newId()}`)).status).toBe(404)
  })

  test('searches by patient, code, agent, outcome and time, page by page', async () => {
    const all = await search(`patient=${PATIENT}&subtype=urn:vigil:audit-action|PHI_ACCESS`)
    expect(all.body.total).toBe(all.body.entry.length)
    expect(all.body.total).toBeGreaterThanOrEqual(9)
    expect(JSON.stringify(all.body)).not.toContain(PATIENT)
    const ids: string[] = []
    for (let url: string | undefined = `AuditEvent?patient=${PATIENT}&subtype=PHI_ACCESS&_count=4`; url; ) {
      const page: Bundle = (await auditor.get<Bundle>(`/fhir/${url}`)).body
      ids.push(...page.entry.map(({ resource }) => resource.id))
      url = page.link.find(({ relation }) => relation === 'next')?.url
    }
    expect(ids).toEqual(all.body.entry.map(({ resource }) => resource.id))
    const reads = await search('action=R&_count=100')
    expect(reads.body.entry.length).toBeGreaterThan(0)
    for (const { resource } of reads.body.entry) expect(['R']).toContain(resource.action)
    const today = new Date().toISOString().slice(0, 10)
    expect((await search(`date=${today}&agent=dr-house`)).body.entry.length).toBeGreaterThan(0)
    expect((await search(`date=lt2020-01-01`)).body.entry).toEqual([])
    expect((await search(`date=ge2020-01-01&date=lt2020-02-01`)).body.entry).toEqual([])
    for (const wrong of ['date=yesterday', 'action=X', 'name=x', '_cursor=x'])
      expect((await search(wrong)).status, wrong).toBe(400)
    const body = await auditor.fetch('/fhir/AuditEvent/_search', {
      method: 'POST',
      body: new URLSearchParams({ patient: PATIENT, subtype: 'PHI_ACCESS' }),
    })
    expect(((await body.json()) as Bundle).total).toBe(all.body.total)
  })
})
