import { execFile, spawnSync } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import {
  appendAudit,
  checkpointText,
  parseCheckpoint,
  parseNote,
  rootOf,
  signerFrom,
  signNote,
  storedNodes,
} from '#libs/audit'
import { newId } from '#libs/platform'
import { growTiles } from '../libs/audit/src/merkle/growth.js'
import { verifyLog } from '../scripts/audit/verify-log.js'
import { type ComplianceUnderTest, startComplianceUnderTest } from './support/compliance.js'
import { startWitnessUnderTest, type WitnessUnderTest } from './support/witness.js'

const ENTRIES = 600
const dataDir = mkdtempSync(join(tmpdir(), 'vigil-tamper-'))
let witness: WitnessUnderTest
let vigil: ComplianceUnderTest
let admin: pg.Client
let token: string
/** A checkpoint that somebody kept when the log was smaller. */
let held: string

const text = async (path: string) => (await fetch(`${vigil.service.url}${path}`)).text()
const size = async () => {
  const answer = await fetch(`${vigil.service.url}/log/checkpoint`)
  return answer.ok ? parseCheckpoint(parseNote(await answer.text()).text).size : 0
}
async function appendTo(target: number): Promise<void> {
  // The service records acts of its own when it starts.
  const { rows } = await admin.query<{ recorded: number }>(
    'SELECT count(*)::int AS recorded FROM audit.entry',
  )
  await admin.query('BEGIN')
  for (let at = rows[0]!.recorded; at < target; at++) {
    await appendAudit(admin, {
      tenant: 'default',
      service: 'imaging',
      actor: { type: 'user', id: `u${at % 7}` },
      action: 'PHI_ACCESS',
      outcome: 'success',
      correlationId: newId(),
      details: { at },
    })
  }
  await admin.query('COMMIT')
  await vi.waitFor(async () => expect(await size()).toBe(target), { timeout: 10_000 })
}

beforeAll(async () => {
  witness = await startWitnessUnderTest(dataDir)
  vigil = await startComplianceUnderTest({ DATA_DIR: dataDir, WITNESSES: witness.address })
  admin = new pg.Client({ connectionString: vigil.database.adminUrl })
  await admin.connect()
  token = await vigil.issuer.token({ scopes: ['audit:read'] })
  await appendTo(100)
  held = await text('/log/checkpoint')
  await appendTo(ENTRIES)
})
afterAll(async () => {
  await admin?.end()
  await vigil?.stop()
  await witness?.stop()
})

const verify = (options: { keys?: string[]; earlier?: string } = {}) =>
  verifyLog({ url: vigil.service.url, token, ...options })

/** As a superuser who takes the guards down first, and puts everything back afterwards. */
async function tampering(statements: string[], look: () => Promise<void>): Promise<void> {
  const tables = ['entry', 'leaf', 'tile', 'checkpoint', 'cosignature']
  for (const table of tables) await admin.query(`CREATE TABLE keep_${table} AS SELECT * FROM audit.${table}`)
  const triggers = (what: string) =>
    tables.map((table) => `ALTER TABLE audit.${table} ${what} TRIGGER ALL`).join(';')
  try {
    await admin.query(`BEGIN; ${triggers('DISABLE')}; ${statements.join(';')}; ${triggers('ENABLE')}; COMMIT`)
    await look()
  } finally {
    const columns = `id, recorded_at, tenant, service, actor_type, actor_id, action, outcome, subject_type, subject_id, patient_ref, correlation_id, body`
    const back = ['leaf', 'tile', 'checkpoint', 'cosignature'].map(
      (table) => `INSERT INTO audit.${table} SELECT * FROM keep_${table}`,
    )
    await admin.query(`BEGIN; ${triggers('DISABLE')};
      DELETE FROM audit.cosignature; DELETE FROM audit.checkpoint; DELETE FROM audit.tile; DELETE FROM audit.leaf;
      DELETE FROM audit.entry; INSERT INTO audit.entry (${columns}) SELECT ${columns} FROM keep_entry; ${back.join(';')};
      ${triggers('ENABLE')}; COMMIT; ${tables.map((table) => `DROP TABLE keep_${table}`).join(';')}`)
  }
}

const entryAt = (index: number) =>
  `audit.entry WHERE id = (SELECT entry_id FROM audit.leaf WHERE log_index = ${index})`
const edited = `convert_to(replace(convert_from(body, 'UTF8'), 'success', 'failure'), 'UTF8')`
const edit = (index: number) =>
  `UPDATE audit.entry SET body = ${edited} WHERE id = (SELECT entry_id FROM audit.leaf WHERE log_index = ${index})`
const forged = (index: number) =>
  `WITH made AS (INSERT INTO audit.entry (id, recorded_at, tenant, service, actor_type, actor_id, action, outcome, correlation_id, body)
     SELECT gen_random_uuid(), recorded_at, tenant, service, actor_type, actor_id, action, outcome, correlation_id, ${edited}
     FROM ${entryAt(index)} RETURNING id, recorded_at, leaf_hash)
   UPDATE audit.leaf l SET entry_id = made.id, recorded_at = made.recorded_at, leaf_hash = made.leaf_hash FROM made WHERE l.log_index = ${index}`

describe('whoever has every right in the database is found out, and where', () => {
  test.each([
    ['an edited entry', [edit(412)], 'entry 412 is not what was recorded', 412],
    [
      'an edited entry together with its leaf',
      [edit(301), `UPDATE audit.leaf SET leaf_hash = sha256('x') WHERE log_index = 301`],
      'entry 301 is not what was recorded',
      301,
    ],
    ['a deleted entry', [`DELETE FROM ${entryAt(530)}`], 'entry 530 is missing', 530],
    ['a deleted leaf', ['DELETE FROM audit.leaf WHERE log_index = 17'], 'entry 17 is missing', 17],
    ['an inserted entry in the place of another', [forged(260)], 'entry 260 is not what was recorded', 260],
    [
      'two entries that changed places',
      [
        'UPDATE audit.leaf SET log_index = -1 + 100000 WHERE log_index = 40',
        'UPDATE audit.leaf SET log_index = 40 WHERE log_index = 90',
        'UPDATE audit.leaf SET log_index = 90 WHERE log_index = 99999',
      ],
      'entry 40 is what was recorded as entry 90',
      40,
    ],
    [
      'an edited tile',
      [`UPDATE audit.tile SET hashes = sha256('x') || substr(hashes, 33) WHERE level = 0 AND n = 1`],
      /^tile 0\/001 \(entries 256 to 511\) is not what the tile above it says/,
      undefined,
    ],
    [
      'an edited tile at the edge',
      [`UPDATE audit.tile SET hashes = sha256('x') || substr(hashes, 33) WHERE level = 0 AND n = 2`],
      /right edge of the tree do not make up the signed root/,
      undefined,
    ],
    [
      'a cut tile',
      [`UPDATE audit.tile SET hashes = substr(hashes, 1, 320) WHERE level = 0 AND n = 0`],
      /^tile 0\/000 \(entries 0 to 255\) is missing or cut/,
      undefined,
    ],
    [
      'an edited checkpoint',
      [`UPDATE audit.checkpoint SET note = replace(note, E'\\n600\\n', E'\\n601\\n') WHERE size = 600`],
      /not signed by the key/,
      undefined,
    ],
  ] as [string, string[], string | RegExp, number | undefined][])(
    '%s',
    async (_case, statements, failure, index) => {
      await tampering(statements, async () => {
        const result = await verify()
        expect(result).toMatchObject({ ok: false, ...(index === undefined ? {} : { index }) })
        expect(result.ok ? '' : result.failure).toMatch(failure)
      })
      expect(await verify()).toMatchObject({ ok: true, size: ENTRIES })
    },
  )

  test('an insider with the signing key too, who rewrites everything and signs it, is found by a kept checkpoint or the witness', async () => {
    const total = await size()
    const { rows } = await admin.query<{ hash: Buffer }>(
      `SELECT CASE WHEN l.log_index = 5 THEN sha256('\\x00'::bytea || ${edited}) ELSE e.leaf_hash END AS hash
       FROM audit.leaf l JOIN audit.entry e ON e.id = l.entry_id ORDER BY l.log_index`,
    )
    const tiles = growTiles([], 0, Buffer.concat(rows.map(({ hash }) => hash)))
    const statements = [
      edit(5),
      'DELETE FROM audit.cosignature',
      ...tiles.map(
        ({ level, n, hashes }) =>
          `UPDATE audit.tile SET hashes = '\\x${hashes.toString('hex')}' WHERE level = ${level} AND n = ${n}`,
      ),
    ]
    const signer = signerFrom(join(dataDir, 'secrets', 'audit-log-key'), 'vigil.invalid/audit')
    await tampering(statements, async () => {
      const root = await rootOf(storedNodes(admin), total)
      const note = signNote(signer, checkpointText({ origin: signer.name, size: total, root }))
      await admin.query('ALTER TABLE audit.checkpoint DISABLE TRIGGER ALL')
      await admin.query('UPDATE audit.checkpoint SET note = $1, root = $2 WHERE size = $3', [
        note,
        root,
        total,
      ])
      expect(await verify({ keys: [witness.logVkey] })).toMatchObject({ ok: true })
      expect(await verify({ keys: [witness.logVkey, witness.vkey] })).toMatchObject({
        ok: false,
        failure: expect.stringMatching(/no valid cosignature by the witness/),
      })
      expect(await verify({ keys: [witness.logVkey], earlier: held })).toMatchObject({
        ok: false,
        kind: 'history',
        failure: expect.stringMatching(/the first 100 entries .* history was rewritten/),
      })
      const asked = await fetch(`${witness.url}/add-checkpoint`, {
        method: 'POST',
        body: `old ${total}\n\n${note}`,
      })
      expect(asked.status).toBe(409)
    })
  })
})

test('an entry that is slipped in beside the log has no place in it, and cannot be proved', async () => {
  const id = '00000000-0000-4000-8000-000000000001'
  await admin.query(
    `INSERT INTO audit.entry (id, recorded_at, tenant, service, actor_type, actor_id, action, outcome, correlation_id, body)
     SELECT $1::uuid, recorded_at, tenant, service, actor_type, actor_id, action, outcome, correlation_id,
       convert_to(replace(convert_from(body, 'UTF8'), id::text, $1::text), 'UTF8') FROM ${entryAt(3)}`,
    [id],
  )
  const proof = await fetch(`${vigil.service.url}/api/v1/audit/entries/${id}/proof`, {
    headers: { authorization: `Bearer ${token}` },
  })
  expect(proof.status).toBe(409)
})

const GOCODE = '/usr/share/gocode'
const go = {
  env: {
    ...process.env,
    GO111MODULE: 'off',
    GOPATH: GOCODE,
    GOFLAGS: '',
    GOCACHE: join(tmpdir(), 'vigil-go-cache'),
  },
}
function hasGo(): boolean {
  const found = spawnSync('go', ['list', 'golang.org/x/mod/sumdb/tlog'], go).status === 0
  if (!found)
    console.warn(
      'skipped: Go with golang.org/x/mod is not there (apt-get install golang-go golang-golang-x-mod-dev)',
    )
  return found
}

test.skipIf(!hasGo())("Go's sumdb/note and sumdb/tlog verify what the service publishes", async () => {
  const kept = join(dataDir, 'held')
  writeFileSync(kept, held)
  const program = resolve('test/conformance/go/verify.go')
  const options = { ...go, env: { ...go.env, TOKEN: token } }
  // Not synchronously: it talks to a service of this very process.
  const run = (key: string) =>
    promisify(execFile)('go', ['run', program, vigil.service.url, key, kept], options)
  const { stdout } = await run(witness.logVkey)
  expect(stdout).toMatch(/^verified 60\d entries, \d\d inclusion proofs, 21 consistency proofs\n$/)
  await expect(run(`other${witness.logVkey}`)).rejects.toThrow(/malformed verifier|invalid verifier/)
})
