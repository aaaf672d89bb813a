import { createHash } from 'node:crypto'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { decodeBundle, ExportVerifier, leafHash, parseNote, verifyInclusion } from '#libs/audit'
import { newId } from '#libs/platform'
import { retentionFrom, setRetention } from '../migrations/retention.js'
import { type ComplianceUnderTest, type HttpClient, startComplianceUnderTest } from './support/compliance.js'

interface RetentionView {
  minimum_index: number
  months: { partition: string; due_at: string | null; obstacle: string | null }[]
  dropped: { partition: string; entries: number; digest: string }[]
}
interface ApprovalView {
  id: string
  status: string
  parameters: { entries: number; first_index: number; last_index: number; digest: string }
}

let compliance: ComplianceUnderTest
let admin: pg.Client
let alice: HttpClient
let bob: HttpClient

/** Entries of a month long ago, as they would stand there: written by an administrator, for nobody can back-date. */
async function writeMonth(month: string, count: number, action: string, tenant = 'default'): Promise<void> {
  await admin.query(`DO $$ BEGIN
    SET LOCAL ROLE vigil_owner;
    IF to_regclass('audit.entry_${month.replace('-', '_')}') IS NULL THEN
      CREATE TABLE audit.entry_${month.replace('-', '_')} PARTITION OF audit.entry
        FOR VALUES FROM ('${month}-01T00:00:00Z') TO (timestamptz '${month}-01T00:00:00Z' + interval '1 month');
    END IF;
  END $$`)
  await admin.query(
    `WITH made AS (SELECT gen_random_uuid() AS id, ($1 || '-10T00:00:00Z')::timestamptz + n * interval '1 second' AS at
       FROM generate_series(1, $2::int) n),
     bodies AS (SELECT id, at, convert_to(format('{"entry":{"action":"%s","actor":{"id":"a","type":"client"},"correlation_id":"%s","id":"%s","outcome":"success","service":"fraud","tenant":"%s"},"recorded_at":"%s"}',
       $3::text, id, id, $4::text, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')), 'UTF8') AS body FROM made),
     written AS (INSERT INTO audit.entry (id, recorded_at, tenant, service, actor_type, actor_id, action, outcome, correlation_id, body)
       SELECT id, at, $4, 'fraud', 'client', 'a', $3, 'success', id, body FROM bodies RETURNING id, recorded_at, leaf_hash)
     INSERT INTO audit.pending (entry_id, recorded_at, leaf_hash) SELECT id, recorded_at, leaf_hash FROM written ORDER BY recorded_at`,
    [month, count, action, tenant],
  )
}

async function untilPublished(): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    const { rows } = await admin.query(
      `SELECT (SELECT count(*) FROM audit.pending) = 0 AND (SELECT size FROM audit.tree_state) =
         (SELECT max(size) FROM audit.checkpoint) AS done`,
    )
    if (rows[0].done) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error('The log stood still')
}

beforeAll(async () => {
  // The service itself writes entries when it starts: the old months come before them in the log.
  compliance = await startComplianceUnderTest({}, async (database) => {
    admin = new pg.Client({ connectionString: database.adminUrl })
    await admin.connect()
    await writeMonth('2015-03', 300, 'TRANSACTION_DECIDED')
    await writeMonth('2015-04', 500, 'PHI_ACCESS')
  })
  const officer = (sub: string) =>
    compliance.client({
      scopes: ['audit:read', 'retention:write', 'holds:write', 'approvals:decide'],
      ...{ clientId: 'console', claims: { sub } },
    })
  ;[alice, bob] = await Promise.all([officer('alice'), officer('bob')])
  await untilPublished()
})
afterAll(async () => {
  await admin?.end()
  await compliance?.stop()
})

const retention = async () => (await alice.get<RetentionView>('/api/v1/audit/retention')).body
const ask = (partition: string, who = alice) =>
  who.post<ApprovalView & { obstacle?: string; detail?: string }>('/api/v1/audit/retention/drops', {
    partition,
    reason: 'Past its period',
  })
const approve = (id: string, who = bob) => who.post<ApprovalView>(`/api/v1/approvals/${id}/approval`)
const isThere = async (partition: string) =>
  (await admin.query(`SELECT to_regclass('audit.' || $1) IS NOT NULL AS there`, [partition])).rows[0].there
const log = (path: string) => fetch(`${compliance.service.url}/log${path}`)
const minimum = async () => Number(await (await log('/minimum-index')).text())

describe('a month of the trail', () => {
  test('is listed with what keeps it', async () => {
    const { months, minimum_index } = await retention()
    expect(minimum_index).toBe(0)
    expect(await (await log('/minimum-index')).text()).toBe('0\n')
    expect(months.slice(0, 2)).toMatchObject([
      { partition: 'entry_2015_03', due_at: '2016-04-01T00:00:00Z', obstacle: null },
      { partition: 'entry_2015_04', due_at: '2021-05-01T00:00:00Z', obstacle: 'not_oldest' },
    ])
    expect(months.slice(2).every(({ obstacle }) => obstacle === 'not_oldest')).toBe(true)
  })

  test.each([
    ['entry_2015_04', 409],
    ['entry_1999_01', 404],
    ['entry_default', 400],
    ['entry_2015_03; DROP', 400],
  ])('%s is not for dropping: %i', async (partition, status) => {
    expect((await ask(partition)).status).toBe(status)
  })

  test('stays under a legal hold that comes after the request, and goes when it is lifted', async () => {
    const asked = await ask('entry_2015_03')
    expect(asked.status).toBe(202)
    expect(asked.body.parameters).toMatchObject({ entries: 300, first_index: 0, last_index: 299 })
    expect((await approve(asked.body.id, alice)).status).toBe(403)
    const hold = await alice.post<{ id: string }>('/api/v1/legal-holds', {
      period: { class: 'payment', to: '2016-01-01T00:00:00Z' },
      reason: 'Matter 12',
    })
    expect((await approve(asked.body.id)).status).toBe(409)
    expect(await isThere('entry_2015_03')).toBe(true)
    expect((await retention()).months[0]?.obstacle).toBe('held')
    const release = await alice.post<{ id: string }>(`/api/v1/legal-holds/${hold.body.id}/release`, {
      reason: 'Settled',
    })
    expect((await approve(release.body.id)).status).toBe(200)

    const leaves = (
      await admin.query('SELECT leaf_hash FROM audit.leaf WHERE log_index < 300 ORDER BY log_index')
    ).rows
    expect((await approve(asked.body.id)).body).toMatchObject({ status: 'done' })
    expect(await isThere('entry_2015_03')).toBe(false)
    const digest = createHash('sha256')
    for (const { leaf_hash } of leaves) digest.update(leaf_hash)
    const { dropped } = await retention()
    expect(dropped).toMatchObject([
      { partition: 'entry_2015_03', entries: 300, digest: digest.digest('hex') },
    ])
    const trail = await alice.get<{ entries: { details: object; subject: object }[] }>(
      '/api/v1/audit/entries?action=RETENTION_DROPPED',
    )
    expect(trail.body.entries[0]).toMatchObject({
      subject: { type: 'trail-month', id: 'entry_2015_03' },
      details: {
        entries: 300,
        first_index: 0,
        last_index: 299,
        minimum_index: 256,
        digest: dropped[0]!.digest,
      },
    })
  })

  test('leaves a log whose minimum index is published and whose other entries are proved as before', async () => {
    expect(await minimum()).toBe(256)
    await untilPublished()
    const bundle = (n: string) => alice.fetch(`/log/tile/entries/${n}`)
    const gone = await bundle('000')
    expect(gone.status).toBe(410)
    expect(await gone.json()).toMatchObject({ type: 'urn:vigil:problem:gone' })
    expect((await log('/tile/0/000')).status).toBe(200)
    // Entries 256 to 299 were dropped, but their bundle holds what stays.
    const second = decodeBundle(Buffer.from(await (await bundle('001')).arrayBuffer()))
    const tile = Buffer.from(await (await log('/tile/0/001')).arrayBuffer())
    expect(Buffer.concat(second.map(leafHash)).equals(tile)).toBe(true)

    const { rows } = await admin.query('SELECT entry_id FROM audit.leaf WHERE log_index = 555')
    const proof = await (await alice.fetch(`/api/v1/audit/entries/${rows[0].entry_id}/proof`)).text()
    const [head, ...hashes] = proof.slice(0, proof.indexOf('\n\n')).split('\n').slice(1)
    expect(head).toBe('index 555')
    const [, size, root] = parseNote(proof.slice(proof.indexOf('\n\n') + 2)).text.split('\n')
    const body = (await admin.query('SELECT body FROM audit.entry WHERE id = $1', [rows[0].entry_id])).rows[0]
      .body
    expect(
      verifyInclusion({
        index: 555n,
        size: BigInt(size!),
        leaf: leafHash(body),
        proof: hashes.map((hash) => Buffer.from(hash, 'base64')),
        root: Buffer.from(root!, 'base64'),
      }),
    ).toBe(true)
    expect((await alice.fetch(`/api/v1/audit/consistency?from=100&to=${size}`)).status).toBe(200)

    const asked = await alice.post<{ id: string }>('/api/v1/audit/exports', { format: 'ndjson' })
    let made: { status: string; content?: { url: string } } = { status: 'queued' }
    for (let tries = 0; tries < 200 && made.status !== 'completed'; tries++) {
      made = (await alice.get<typeof made>(`/api/v1/audit/exports/${asked.body.id}`)).body
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    const verifier = new ExportVerifier({ keys: (await (await log('/keys')).text()).trim().split('\n') })
    verifier.write(Buffer.from(await (await alice.fetch(made.content!.url)).arrayBuffer()))
    expect(verifier.end()).toMatchObject({ withheld: 44 })
  })

  test('is not dropped while an entry of it is pending, nor when it changed since it was agreed to', async () => {
    const asked = await ask('entry_2015_04')
    expect(asked.status).toBe(202)
    await admin.query('BEGIN')
    await writeMonth('2015-04', 1, 'PHI_ACCESS')
    const obstacle = await admin.query(`SELECT audit.drop_obstacle('entry_2015_04') AS o`)
    expect(obstacle.rows[0].o).toBe('pending')
    await admin.query('COMMIT')
    await untilPublished()
    expect((await approve(asked.body.id)).status).toBe(409)
    expect(await isThere('entry_2015_04')).toBe(true)
    expect((await ask('entry_2015_04')).status).toBe(409)
    // The request is for what is no longer so: whoever made it takes it back.
    expect((await alice.post(`/api/v1/approvals/${asked.body.id}/rejection`)).status).toBe(200)
  })

  test('is not dropped before the last class in it is past its period', async () => {
    const asked = await ask('entry_2015_04')
    expect((await approve(asked.body.id)).body.status).toBe('done')
    const { months, dropped } = await retention()
    expect(dropped.map(({ entries }) => entries)).toEqual([300, 501])
    const now = months.find(({ due_at }) => due_at)!
    expect(now).toMatchObject({ obstacle: 'not_due' })
    expect((await ask(now.partition)).body).toMatchObject({ obstacle: 'not_due' })
    const { rows } = await admin.query('SELECT min(log_index)::int AS first FROM audit.kept_entry')
    expect(rows[0].first).toBeGreaterThanOrEqual(await minimum())
  })

  test('is decided of by the operator alone', async () => {
    const eve = await compliance.client({
      scopes: ['audit:read', 'retention:write'],
      ...{ clientId: 'eve', tenant: 'elsewhere' },
    })
    expect((await eve.get('/api/v1/audit/retention')).status).toBe(403)
    expect((await ask('entry_2015_05', eve)).status).toBe(403)
    expect((await eve.get('/log/tile/entries/001')).status).toBe(403)
    const reader = await compliance.client({ scopes: ['audit:read'] })
    expect((await ask('entry_2015_05', reader)).status).toBe(403)
  })
})

test('periods are the configuration of whoever administers the database, within the law', async () => {
  await setRetention(admin, retentionFrom({ RETENTION_PAYMENT: 'P400D', RETENTION_DEFAULT: '7 years' }))
  const { body } = await alice.get<{ classes: object[] }>('/api/v1/audit/retention')
  expect(body.classes).toEqual([
    { class: 'default', period: '7 years' },
    { class: 'payment', period: '400 days' },
    { class: 'phi', period: '6 years' },
  ])
  for (const wrong of [
    { RETENTION_PHI: 'P5Y' },
    { RETENTION_PAYMENT: 'soon' },
    { RETENTION_PAYMENT: '-1 days' },
  ])
    await expect(setRetention(admin, retentionFrom(wrong))).rejects.toThrow(/^RETENTION_/)
})

test('the database drops nothing without the approval of exactly this', async () => {
  const service = new pg.Client({ connectionString: compliance.database.url('vigil_compliance') })
  await service.connect()
  try {
    await writeMonth('2015-05', 1, 'PHI_ACCESS')
    await untilPublished()
    for (const approval of [newId(), null])
      await expect(
        service.query(`SELECT audit.drop_month('entry_2015_05', 'default', $1)`, [approval]),
      ).rejects.toMatchObject({ code: 'VG403' })
    for (const sql of [
      'DROP TABLE audit.entry_2015_05',
      `ALTER TABLE audit.entry DETACH PARTITION audit.entry_2015_05`,
      `UPDATE audit.retention_class SET period = '1 day'`,
      'DELETE FROM audit.kept_entry',
    ])
      await expect(service.query(sql), sql).rejects.toThrow(/permission denied|must be owner/)
  } finally {
    await service.end()
  }
  await expect(
    admin.query(`UPDATE audit.retention_class SET period = '5 years' WHERE class = 'phi'`),
  ).rejects.toThrow(/check constraint/)
  await expect(admin.query('DELETE FROM audit.retention_drop')).rejects.toThrow(/append-only/)
})
