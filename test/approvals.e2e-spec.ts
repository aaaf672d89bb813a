import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { appendAudit } from '#libs/audit'
import { blindIndex } from '#libs/crypto'
import { newId } from '#libs/platform'
import { type ComplianceUnderTest, startComplianceUnderTest } from './support/compliance.js'

const SCOPES = ['holds:write', 'approvals:decide', 'audit:read']
let compliance: ComplianceUnderTest
let admin: pg.Client
let service: pg.Client
const person = (sub: string, tenant = 'default') =>
  compliance.client({ scopes: SCOPES, clientId: 'console', tenant, claims: { sub } })

beforeAll(async () => {
  compliance = await startComplianceUnderTest()
  admin = new pg.Client({ connectionString: compliance.database.adminUrl })
  service = new pg.Client({ connectionString: compliance.database.url('vigil_compliance') })
  await Promise.all([admin.connect(), service.connect()])
})
afterAll(async () => {
  await Promise.all([admin?.end(), service?.end()])
  await compliance?.stop()
})

interface Body {
  [member: string]: unknown
  id: string
  status: string
}
const place = async (who: Awaited<ReturnType<typeof person>>, body: object) => {
  const { status, body: hold } = await who.post<Body>('/api/v1/legal-holds', body)
  expect(status).toBe(201)
  return hold
}
const standing = async (id: string) =>
  (await admin.query('SELECT released_at IS NULL AS standing FROM holds.hold WHERE id = $1', [id])).rows[0]
    .standing as boolean

describe('a legal hold', () => {
  test('is placed by one person and lifted by two, each step in the trail, the reason sealed', async () => {
    const alice = await person('alice')
    const bob = await person('bob')
    const hold = await place(alice, { patient: 'MRN-CANARY-1', reason: 'Matter 2026-17 of CANARY^NAME' })
    expect(hold).toMatchObject({ scope: 'patient', reason: 'Matter 2026-17 of CANARY^NAME' })
    expect(JSON.stringify(hold)).not.toContain('MRN-CANARY-1')

    const asked = await alice.post<Body>(`/api/v1/legal-holds/${hold.id}/release`, { reason: 'Settled' })
    expect(asked.status).toBe(202)
    expect(asked.body).toMatchObject({ kind: 'legal-hold.release', status: 'pending', subject: hold.id })
    const twice = await alice.post(`/api/v1/legal-holds/${hold.id}/release`, { reason: 'Settled' })
    expect(twice.status).toBe(409)

    const own = await alice.post(`/api/v1/approvals/${asked.body.id}/approval`)
    expect(own.status).toBe(403)
    expect(await standing(hold.id)).toBe(true)

    const pending = await bob.get<{ approvals: Body[] }>('/api/v1/approvals?status=pending')
    expect(pending.body.approvals.map(({ id }) => id)).toContain(asked.body.id)
    const done = await bob.post<Body>(`/api/v1/approvals/${asked.body.id}/approval`)
    expect(done.status).toBe(200)
    expect(done.body).toMatchObject({ status: 'done', decided_by: { subject: 'bob' } })
    expect(await standing(hold.id)).toBe(false)
    expect((await bob.post(`/api/v1/approvals/${asked.body.id}/approval`)).status).toBe(409)

    const { rows } = await admin.query(
      `SELECT action, outcome FROM audit.entry WHERE subject_id IN ($1, $2) ORDER BY recorded_at`,
      [hold.id, asked.body.id],
    )
    expect(rows.map(({ action, outcome }) => `${action} ${outcome}`)).toEqual([
      'LEGAL_HOLD_PLACED success',
      'APPROVAL_REQUESTED success',
      'APPROVAL_GRANTED denied',
      'APPROVAL_GRANTED success',
      'LEGAL_HOLD_RELEASED success',
      'APPROVAL_GRANTED denied',
    ])
    const stored = JSON.stringify(
      (
        await admin.query(`SELECT to_jsonb(h) AS hold, convert_from(e.body, 'UTF8') AS body, to_jsonb(r) AS request
          FROM holds.hold h, audit.entry e, approvals.request r`)
      ).rows,
    )
    for (const canary of ['MRN-CANARY-1', 'CANARY^NAME', 'Settled']) expect(stored).not.toContain(canary)
  })

  test('stays when the second person says no, and can be asked for again', async () => {
    const [alice, bob] = [await person('alice'), await person('bob')]
    const hold = await place(alice, { subject: 'tx-7', reason: 'Chargeback dispute' })
    const release = () => alice.post<Body>(`/api/v1/legal-holds/${hold.id}/release`, { reason: 'Over' })
    const first = await release()
    expect((await bob.post<Body>(`/api/v1/approvals/${first.body.id}/rejection`)).body.status).toBe(
      'rejected',
    )
    expect(await standing(hold.id)).toBe(true)
    const second = await release()
    expect(second.status).toBe(202)
    // Whoever asked may take it back.
    expect((await alice.post<Body>(`/api/v1/approvals/${second.body.id}/rejection`)).status).toBe(200)
  })

  test.each([
    ['nothing to hold', { reason: 'because' }],
    ['two things', { patient: 'a', subject: 'b', reason: 'because' }],
    [
      'a period that ends before it begins',
      { period: { from: '2026-02-01T00:00:00Z', to: '2026-01-01T00:00:00Z' }, reason: 'because' },
    ],
    ['no reason', { patient: 'a' }],
    ['an unknown member', { patient: 'a', reason: 'because', extra: 1 }],
  ])('%s is refused', async (_case, body) => {
    const answer = await (await person('alice')).post('/api/v1/legal-holds', body)
    expect(answer.status).toBe(400)
    expect(answer.contentType).toMatch(/problem\+json/)
  })

  test("another tenant's hold and approval answer like missing ones", async () => {
    const [alice, eve] = [await person('alice'), await person('eve', 'elsewhere')]
    const hold = await place(alice, { correlation_id: newId(), reason: 'Matter 4' })
    const asked = await alice.post<Body>(`/api/v1/legal-holds/${hold.id}/release`, { reason: 'Over' })
    const without = ({ instance: _own, ...rest }: Record<string, unknown>) => rest
    for (const path of [`/api/v1/legal-holds/ID`, `/api/v1/approvals/ID`]) {
      const id = path.includes('holds') ? hold.id : asked.body.id
      const [foreign, missing] = [
        await eve.get<Body>(path.replace('ID', id)),
        await eve.get<Body>(path.replace('ID', newId())),
      ]
      expect(foreign.status).toBe(404)
      expect(without(foreign.body)).toEqual(without(missing.body))
    }
    for (const act of ['approval', 'rejection']) {
      expect((await eve.post(`/api/v1/approvals/${asked.body.id}/${act}`)).status).toBe(404)
    }
    expect((await eve.post(`/api/v1/legal-holds/${hold.id}/release`, { reason: 'Over' })).status).toBe(404)
    expect((await eve.get<{ holds: Body[] }>('/api/v1/legal-holds')).body.holds).toEqual([])
  })

  test('covers what it says: a patient, a subject, a correlation, a class in a period; and no more', async () => {
    const tenant = 'covering'
    const alice = await person('alice', tenant)
    const ref = (id: string) => blindIndex(compliance.patientIndexKey, 'patient', tenant, id)
    const correlationId = newId()
    const entry = (action: string, patient: string) =>
      appendAudit(admin, {
        ...{ tenant, service: 'imaging', actor: { type: 'system', id: 'x' }, action, outcome: 'success' },
        ...{ patientRef: ref(patient), correlationId },
      })
    await entry('PHI_ACCESS', 'seen')
    const covers = async (patient: string) =>
      (await service.query('SELECT * FROM holds.on_patient($1, $2)', [tenant, ref(patient)])).rowCount
    const covered = async () =>
      (await service.query("SELECT * FROM holds.on_entries(now() - interval '1 hour', now())")).rowCount
    const before = (await covered())!
    // A hold's own entry concerns the patient too.
    await place(alice, { patient: 'held', reason: 'Matter 5' })
    expect([await covers('held'), await covers('seen'), await covered()]).toEqual([1, 0, before + 1])
    await place(alice, { period: { class: 'payment' }, reason: 'Matter 6' })
    await place(alice, { period: { class: 'phi', to: '2000-01-01T00:00:00Z' }, reason: 'Matter 7' })
    await place(alice, { correlation_id: newId(), reason: 'Matter 8' })
    expect([await covers('seen'), await covered()]).toEqual([0, before + 1])
    await place(alice, { period: { class: 'phi' }, reason: 'Matter 9' })
    expect([await covers('seen'), await covered()]).toEqual([1, before + 2])
    await place(alice, { correlation_id: correlationId, reason: 'Matter 10' })
    expect([await covers('seen'), await covered()]).toEqual([2, before + 3])
  })
})

describe('the database itself', () => {
  const columns = `id, tenant, kind, subject, reason, requested_issuer, requested_subject, requested_client, expires_at`
  const ask = async (hours: number, subject = newId()) => {
    const id = newId()
    await service.query(
      `INSERT INTO approvals.request (${columns})
       VALUES ($1, 'default', 'retention.drop', $2, 'x', 'iss', 'alice', 'c', clock_timestamp() + make_interval(secs => $3))`,
      [id, subject, hours * 3600],
    )
    return { id, subject }
  }
  const decide = async (id: string, verdict: string, subject: string) =>
    (
      await service.query(`SELECT approvals.decide($1, 'default', $2, 'iss', $3, 'other')`, [
        id,
        verdict,
        subject,
      ])
    ).rows[0].decide
  const consume = (id: string, subject: string, parameters = '{}', kind = 'retention.drop') =>
    admin.query(`SELECT approvals.consume($1, 'default', $2, $3, $4)`, [id, kind, subject, parameters])

  test('an approval is used once, for what it was given, by two persons, in time', async () => {
    const { id, subject } = await ask(1)
    await expect(consume(id, subject)).rejects.toMatchObject({ code: 'VG403' })
    expect(await decide(id, 'approved', 'alice')).toBe('same_person')
    expect(await decide(id, 'approved', 'bob')).toBe('approved')
    await expect(consume(id, newId())).rejects.toMatchObject({ code: 'VG403' })
    await expect(consume(id, subject, '{"more":1}')).rejects.toMatchObject({ code: 'VG403' })
    await expect(consume(id, subject, '{}', 'patient.erasure')).rejects.toMatchObject({ code: 'VG403' })
    await consume(id, subject)
    await expect(consume(id, subject)).rejects.toMatchObject({ code: 'VG403' })
  })

  test('two uses at once: one', async () => {
    const { id, subject } = await ask(1)
    await decide(id, 'approved', 'bob')
    const other = new pg.Client({ connectionString: compliance.database.adminUrl })
    await other.connect()
    const uses = await Promise.allSettled([
      consume(id, subject),
      other.query(`SELECT approvals.consume($1, 'default', 'retention.drop', $2)`, [id, subject]),
    ])
    await other.end()
    expect(uses.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
  })

  test('an expired request is neither decided nor used, and makes room for another', async () => {
    const seconds = 1 / 3600
    const { id, subject } = await ask(0.3 * seconds)
    const late = await ask(0.6 * seconds)
    await decide(late.id, 'approved', 'bob')
    await new Promise((resolve) => setTimeout(resolve, 700))
    await expect(consume(late.id, late.subject)).rejects.toMatchObject({ code: 'VG403' })
    expect(await decide(id, 'approved', 'bob')).toBe('expired')
    await expect(ask(1, subject)).rejects.toMatchObject({ code: '23505' })
    await service.query(`SELECT approvals.close_expired('default', 'retention.drop', $1)`, [subject])
    await expect(ask(1, subject)).resolves.toBeDefined()
  })

  test('even its superuser cannot store an approval by the person who asked', async () => {
    const { id } = await ask(1)
    await expect(
      admin.query(
        `UPDATE approvals.request SET decision = 'approved', decided_issuer = 'iss', decided_subject = 'alice',
           decided_client = 'd', decided_at = now() WHERE id = $1`,
        [id],
      ),
    ).rejects.toThrow(/two_persons/)
  })

  test.each([
    `UPDATE approvals.request SET decision = 'approved'`,
    'DELETE FROM approvals.request',
    `INSERT INTO approvals.request (${columns}, decision) SELECT ${columns}, 'approved' FROM approvals.request`,
    `SELECT approvals.consume(gen_random_uuid(), 'default', 'retention.drop', 'x')`,
    'UPDATE holds.hold SET released_at = now()',
    'DELETE FROM holds.hold',
    "INSERT INTO audit.action_class VALUES ('X_Y_Z', 'default')",
  ])('refuses its service: %s', async (sql) => {
    await expect(service.query(sql)).rejects.toThrow(/permission denied/)
  })

  test('a hold is not released without an approval of it', async () => {
    const alice = await person('alice')
    const hold = await place(alice, { patient: 'kept', reason: 'Matter 10' })
    const { id } = await ask(1, hold.id)
    await decide(id, 'approved', 'bob')
    await expect(
      service.query(`SELECT holds.release($1, 'default', $2)`, [hold.id, id]),
    ).rejects.toMatchObject({
      code: 'VG403',
    })
    expect(await standing(hold.id)).toBe(true)
  })

  test('what destroys is refused under a hold, and no hold can come in between', async () => {
    const alice = await person('alice')
    const ref = blindIndex(compliance.patientIndexKey, 'patient', 'default', 'kept')
    await expect(admin.query('SELECT holds.refuse_patient($1, $2)', ['default', ref])).rejects.toMatchObject({
      code: 'VG409',
    })
    await admin.query('BEGIN')
    await admin.query(`SELECT holds.refuse_patient('default', 'nobody')`)
    const placing = place(alice, { patient: 'later', reason: 'Matter 11' })
    await new Promise((resolve) => setTimeout(resolve, 100))
    const waiting = await admin.query(
      `SELECT count(*)::int AS n FROM pg_locks WHERE NOT granted AND relation = 'holds.hold'::regclass`,
    )
    expect(waiting.rows[0].n).toBe(1)
    await admin.query('COMMIT')
    await placing
  })
})
