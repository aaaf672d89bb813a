import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  addCheckpointText,
  appendAudit,
  isSignedBy,
  noteSigner,
  parseCheckpoint,
  parseNote,
  parseVerificationKey,
  signNote,
} from '#libs/audit'
import { createLogger, newId, type RunningService } from '#libs/platform'
import { ComplianceConfig, startCompliance } from '../apps/compliance/src/start.js'
import { verifyLog } from '../scripts/audit/verify-log.js'
import { administer, createTestDatabase, type TestDatabase } from './support/database.js'
import { type Issuer, startIssuer } from './support/issuer.js'
import { startWitnessUnderTest, type WitnessUnderTest } from './support/witness.js'

const dataDir = mkdtempSync(join(tmpdir(), 'vigil-log-'))
const published = join(dataDir, 'audit-checkpoint')
let database: TestDatabase
let issuer: Issuer
let witness: WitnessUnderTest
let service: RunningService | undefined
let logLines: string[] = []

async function start(settings: Record<string, string> = {}): Promise<void> {
  logLines = []
  service = await startCompliance(
    ComplianceConfig.parse({
      DATABASE_URL: database.url('vigil_compliance'),
      SEQUENCER_DATABASE_URL: database.url('vigil_sequencer'),
      DATA_DIR: dataDir,
      ...issuer.config,
      WITNESSES: witness.address,
      SEQUENCE_INTERVAL_MS: 50,
      DRAIN_DELAY_MS: 0,
      ...settings,
    }),
    createLogger('compliance', 'info', { write: (line) => void logLines.push(line) }),
  )
}
async function stop(): Promise<void> {
  await service?.stop()
  service = undefined
}

beforeAll(async () => {
  ;[database, issuer, witness] = await Promise.all([
    createTestDatabase(),
    startIssuer(),
    startWitnessUnderTest(dataDir),
  ])
  await start()
})
afterAll(async () => {
  await stop()
  await witness.stop()
  await issuer.stop()
  await database.drop()
})

const get = (path: string) => fetch(`${service?.url}${path}`)
const text = async (path: string) => (await get(path)).text()
const keys = async () => (await text('/log/keys')).trim().split('\n')
const sizeOf = (note: string) => parseCheckpoint(parseNote(note).text).size
const size = async () => {
  const answer = await get('/log/checkpoint')
  return answer.status === 200 ? sizeOf(await answer.text()) : 0
}

/** Appends entries and waits until a checkpoint covers them. */
async function append(count: number, action = 'X_TEST'): Promise<void> {
  const client = new pg.Client({ connectionString: database.url('vigil_fraud') })
  await client.connect()
  await client.query('BEGIN')
  for (let at = 0; at < count; at++) {
    await appendAudit(client, {
      tenant: 'default',
      service: 'fraud',
      actor: { type: 'system', id: 'test' },
      action,
      outcome: 'success',
      correlationId: newId(),
    })
  }
  await client.query('COMMIT')
  await client.end()
}
/** Entries in the database: those of the service itself among them, which records what it does when it starts. */
async function recorded(): Promise<number> {
  const client = new pg.Client({ connectionString: database.adminUrl })
  await client.connect()
  const { rows } = await client.query('SELECT count(*)::int AS entries FROM audit.entry')
  await client.end()
  return rows[0].entries
}
async function grow(count: number, action?: string): Promise<void> {
  await append(count, action)
  await expect.poll(async () => (await recorded()) - (await size()), { timeout: 10_000 }).toBe(0)
}
const metric = async (name: string) =>
  Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'm').exec(await text('/metrics'))?.[1])
const verify = async (options: { keys?: string[]; earlier?: string } = {}) =>
  verifyLog({ url: service!.url, token: await issuer.token({ scopes: ['audit:read'] }), ...options })

describe('what is served', () => {
  test('the checkpoint carries the signature of the log and the cosignature of the witness', async () => {
    await grow(3)
    const answer = await get('/log/checkpoint')
    expect(answer.headers.get('content-type')).toBe('text/plain; charset=utf-8')
    expect(answer.headers.get('cache-control')).toBe('no-cache')
    expect(await keys()).toEqual([witness.logVkey, witness.vkey])
    const note = parseNote(await answer.text())
    for (const key of await keys()) expect(isSignedBy(note, parseVerificationKey(key)), key).toBe(true)
    expect(await verify({ keys: await keys() })).toMatchObject({
      ok: true,
      witnesses: ['vigil.invalid/witness'],
    })
  })

  test('tiles are for ever, entries are private, and what there is not is a problem', async () => {
    await grow(300 - (await recorded()))
    const tile = await get('/log/tile/0/000')
    expect(tile.headers.get('cache-control')).toBe('public, max-age=31536000, immutable')
    expect((await tile.arrayBuffer()).byteLength).toBe(8192)
    expect((await (await get('/log/tile/0/001.p/44')).arrayBuffer()).byteLength).toBe(44 * 32)
    expect((await (await get('/log/tile/1/000.p/1')).arrayBuffer()).byteLength).toBe(32)
    expect((await get('/log/tile/entries/000')).status).toBe(401)
    for (const wrong of [
      '0/001',
      '0/001.p/45',
      '0/000.p/256',
      '0/000.p/01',
      '0/000.p/0',
      '0/00',
      '00/000',
      '8/000',
      '1/001',
    ]) {
      const answer = await get(`/log/tile/${wrong}`)
      expect(answer.status, wrong).toBe(404)
      expect(answer.headers.get('content-type'), wrong).toMatch(/^application\/problem\+json/)
    }
  })

  test('a kept checkpoint still stands when the log has grown', async () => {
    const earlier = await text('/log/checkpoint')
    await grow(10)
    expect(await verify({ keys: await keys(), earlier })).toMatchObject({ ok: true, entries: 310 })
  })
})

describe('the witness', () => {
  test('speaks tlog-witness: text answers, the size at a conflict, problems else', async () => {
    const submit = (body: string) => fetch(`${witness.url}/add-checkpoint`, { method: 'POST', body })
    const note = `${parseNote(await text('/log/checkpoint')).text}\n`
    const conflict = await submit(`old 0\n\n${await text('/log/checkpoint')}`)
    expect([conflict.status, conflict.headers.get('content-type')]).toEqual([409, 'text/x.tlog.size'])
    expect(await conflict.text()).toBe('310\n')
    const again = await submit(`old 310\n\n${await text('/log/checkpoint')}`)
    expect([again.status, again.headers.get('content-type')]).toEqual([200, 'text/plain; charset=utf-8'])
    const line = await again.text()
    expect(isSignedBy(parseNote(note + line), parseVerificationKey(witness.vkey))).toBe(true)
    for (const [body, status] of [
      ['nonsense', 400],
      [
        'old 310\n\nother.example\n5\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n\u2014 other.example AAAAAAAA\n',
        404,
      ],
      [
        addCheckpointText({ oldSize: 310, proof: [], note: `${note}\u2014 vigil.invalid/audit AAAAAAAA\n` }),
        403,
      ],
      ['x'.repeat(70_000), 413],
    ] as const) {
      const answer = await submit(body)
      expect(answer.status).toBe(status)
      expect(answer.headers.get('content-type')).toMatch(/problem\+json/)
    }
    expect((await fetch(`${witness.url}/add-checkpoint`)).status).toBe(405)
    expect(await (await fetch(`${witness.url}/key`)).text()).toBe(`${witness.vkey}\n`)
  })

  test('a second one does not start on the same state', async () => {
    await expect(witness.start()).rejects.toThrow(/Another witness|EADDRINUSE/)
  })

  test('is missed but not waited for, and catches up', async () => {
    await witness.stop()
    await grow(5)
    const alone = parseNote(await text('/log/checkpoint'))
    expect(isSignedBy(alone, parseVerificationKey(witness.logVkey))).toBe(true)
    expect(alone.signatures).toHaveLength(1)
    await expect.poll(() => metric('audit_witness_age_seconds')).toBeGreaterThan(0)
    expect(await metric('audit_witness_failures_total')).toBeGreaterThan(0)
    expect((await get('/ready')).status).toBe(200)
    expect(await verify({ keys: await keys() })).toMatchObject({ ok: false, kind: 'signature' })
    await witness.start()
    await expect
      .poll(async () => parseNote(await text('/log/checkpoint')).signatures.length, { timeout: 10_000 })
      .toBe(2)
    await expect.poll(() => metric('audit_witness_age_seconds')).toBe(0)
    expect(await verify({ keys: await keys() })).toMatchObject({ ok: true })
  })
})

describe('a database that is set back', () => {
  const name = () => new URL(database.adminUrl).pathname.slice(1)
  const backUp = async () => {
    await stop()
    await administer(`CREATE DATABASE ${name()}_backup TEMPLATE ${name()} STRATEGY wal_log`)
    await start()
  }
  const restore = async () => {
    await stop()
    await administer(`DROP DATABASE ${name()} WITH (FORCE)`)
    await administer(`CREATE DATABASE ${name()} TEMPLATE ${name()}_backup STRATEGY wal_log`)
    await administer(
      `REVOKE ALL ON DATABASE ${name()} FROM PUBLIC; GRANT CONNECT ON DATABASE ${name()} TO vigil_app, vigil_sequencer`,
    )
  }
  const auditReadiness = async () => {
    const answer = await get('/ready')
    const { checks } = (await answer.json()) as { checks: Record<string, string> }
    return [answer.status, checks['audit log']] as const
  }
  let held: string

  test('is not signed on while it is smaller, nor when other entries took the place of those that are gone', async () => {
    await backUp()
    await grow(7)
    held = readFileSync(published, 'utf8')
    expect(sizeOf(held)).toBe(await size())
    await restore()
    await start()
    await expect
      .poll(auditReadiness)
      .toEqual([503, expect.stringMatching(/has 315 entries.*over 322 was published/)])
    await append(20, 'X_FORGED')
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect(await size()).toBe(315)
    expect(readFileSync(published, 'utf8')).toBe(held)
    expect(logLines.filter((line) => line.includes('was set back'))).toHaveLength(1)
    expect(await verify({ earlier: held })).toMatchObject({
      ok: false,
      kind: 'history',
      failure: expect.stringMatching(/has 315 entries, but had 322/),
    })

    // Whoever sequences past the guard, as a program of his own could: the roots differ.
    const client = new pg.Client({ connectionString: database.adminUrl })
    await client.connect()
    await client.query(`UPDATE audit.tree_state SET size = 400`)
    await client.end()
    await expect.poll(auditReadiness).toEqual([503, expect.stringMatching(/its first 322 entries differ/)])
  })

  test('without the file outside, the witness still knows', async () => {
    await restore()
    writeFileSync(`${published}.away`, readFileSync(published))
    rmSync(published)
    await start()
    await grow(20, 'X_FORGED')
    await expect
      .poll(() => logLines.join('').includes('cosigned a tree of 322 entries, which this one of'))
      .toBe(true)
    expect(await verify({ keys: await keys() })).toMatchObject({
      ok: false,
      kind: 'signature',
      failure: expect.stringMatching(/no valid cosignature/),
    })
    expect(await verify({ earlier: held })).toMatchObject({
      ok: false,
      kind: 'history',
      failure: expect.stringMatching(/history was rewritten/),
    })
  })

  test('continues under a new name, and its next entry says which log it continues and what is missing', async () => {
    await restore()
    writeFileSync(published, held)
    await start({ AUDIT_ORIGIN: 'vigil.invalid/audit-2' })
    await expect.poll(size).toBe(316)
    expect((await get('/ready')).status).toBe(200)
    expect((await keys())[0]).toMatch(/^vigil\.invalid\/audit-2\+/)
    const client = new pg.Client({ connectionString: database.adminUrl })
    await client.connect()
    const { rows } = await client.query(
      `SELECT convert_from(e.body, 'UTF8')::jsonb -> 'entry' -> 'details' AS details, l.log_index::int AS index
       FROM audit.entry e JOIN audit.leaf l ON l.entry_id = e.id WHERE e.action = 'AUDIT_LOG_RENAMED'`,
    )
    await client.end()
    expect(rows).toMatchObject([
      {
        index: 315,
        details: {
          previous_origin: 'vigil.invalid/audit',
          previous_checkpoint: held,
          tree_size: 315,
          entries_missing: 7,
        },
      },
    ])
    expect(readdirSync(dataDir)).toContain('audit-checkpoint.vigil.invalid_audit.322')
    expect(await verify()).toMatchObject({ ok: true, size: 316 })
    await stop()
    await start({ AUDIT_ORIGIN: 'vigil.invalid/audit-2' })
    await grow(1)
    await administer(`DROP DATABASE ${name()}_backup`)
  })

  test('does not sign with another key than that of what was published', async () => {
    await stop()
    const own = readFileSync(published, 'utf8')
    const stranger = noteSigner('vigil.invalid/audit-2', Buffer.alloc(32, 9))
    writeFileSync(published, signNote(stranger, parseNote(own).text))
    await start({ AUDIT_ORIGIN: 'vigil.invalid/audit-2' })
    await expect
      .poll(auditReadiness)
      .toEqual([503, expect.stringMatching(/not signed by the key of the log/)])
    await stop()
    writeFileSync(published, own)
    await start({ AUDIT_ORIGIN: 'vigil.invalid/audit-2' })
    await expect.poll(auditReadiness).toEqual([200, 'ok'])
  })
})
