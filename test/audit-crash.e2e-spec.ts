import { type ChildProcess, fork } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import {
  appendAudit,
  Frontier,
  isSignedBy,
  parseCheckpoint,
  parseNote,
  parseVerificationKey,
  signerFrom,
  verificationKey,
} from '#libs/audit'
import { newId } from '#libs/platform'
import { migrate } from '../migrations/run.js'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../scripts/embedded/postgres.js'

const KILLS = 20
const PASSWORD = 'sequencer-password'

let dataDir: string
let postgres: EmbeddedPostgres
let url: { admin: string; app: string; sequencer: string }

const as = (role: string) => {
  const here = new URL(postgres.adminUrl)
  here.username = role
  here.password = PASSWORD
  return here.href
}

beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'vigil-crash-'))
  chmodSync(dataDir, 0o711)
  postgres = await startEmbeddedPostgres({ dataDir, port: 0, log: () => undefined })
  await migrate(postgres.adminUrl, { vigil_fraud: PASSWORD, vigil_sequencer: PASSWORD })
  url = { admin: postgres.adminUrl, app: as('vigil_fraud'), sequencer: as('vigil_sequencer') }
})
afterAll(async () => {
  await postgres?.stop('immediate')
  rmSync(dataDir, { recursive: true, force: true })
})

/** Appends until it is told to stop; through a restart it connects again. Ids of what was acknowledged. */
function writer(acknowledged: string[]): { stop(): Promise<void> } {
  let stopped = false
  const run = async () => {
    while (!stopped) {
      const client = new pg.Client({ connectionString: url.app, connectionTimeoutMillis: 1_000 })
      client.on('error', () => undefined)
      try {
        await client.connect()
        while (!stopped) {
          const id = newId()
          await appendAudit(client, {
            ...{
              id,
              tenant: 'default',
              service: 'fraud',
              action: 'X_CRASH',
              outcome: 'success',
              correlationId: id,
            },
            actor: { type: 'system', id: 'writer' },
          })
          acknowledged.push(id)
        }
      } catch {
        await sleep(20)
      }
      await client.end().catch(() => undefined)
    }
  }
  const running = run()
  return {
    stop: async () => {
      stopped = true
      await running
    },
  }
}

const complaints: string[] = []
function sequencer(): ChildProcess {
  const child = fork('test/support/sequencer.mjs', {
    execArgv: [],
    env: {
      ...process.env,
      DATABASE_URL: url.sequencer,
      DATA_DIR: join(dataDir, 'log'),
      NODE_COMPILE_CACHE: join(tmpdir(), 'vigil-compile-cache'),
    },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  child.stderr?.on('data', (chunk) => complaints.push(String(chunk)))
  return child
}
const atWork = (child: ChildProcess) =>
  new Promise<void>((resolve) => child.stdout?.once('data', () => resolve()))

test('20 random kills of the sequencer and a crash of PostgreSQL under load: no gap, no loss, nothing twice', async () => {
  const acknowledged: string[] = []
  const writers = [writer(acknowledged), writer(acknowledged), writer(acknowledged)]
  // The next one starts while the last one works: it waits for the lock that the kill releases.
  let next = sequencer()
  let sizeAtCrash = 0
  for (let kill = 0; kill < KILLS; kill++) {
    const current = next
    await atWork(current)
    next = sequencer()
    await sleep(Math.random() * 60)
    current.kill('SIGKILL')
    if (kill === KILLS / 2) {
      await postgres.stop('immediate')
      sizeAtCrash = acknowledged.length
      postgres = await startEmbeddedPostgres({ dataDir, port: postgres.port, log: () => undefined })
    }
  }
  await Promise.all(writers.map(({ stop }) => stop()))
  const admin = new pg.Client({ connectionString: url.admin })
  await admin.connect()
  await vi.waitFor(async () => expect((await admin.query('SELECT FROM audit.pending')).rowCount).toBe(0), {
    timeout: 10_000,
  })
  const published = () =>
    parseCheckpoint(parseNote(readFileSync(join(dataDir, 'log', 'published'), 'utf8')).text)
  const { rows } = await admin.query<{ entry_id: string; index: string; hash: Buffer }>(
    `SELECT l.entry_id, l.log_index AS index, e.leaf_hash AS hash FROM audit.leaf l
     JOIN audit.entry e ON e.id = l.entry_id AND e.recorded_at = l.recorded_at ORDER BY l.log_index`,
  )
  await vi.waitFor(() => expect(published().size).toBe(rows.length), { timeout: 10_000 })
  next.kill('SIGKILL')

  expect(sizeAtCrash).toBeGreaterThan(0)
  expect(acknowledged.length).toBeGreaterThan(sizeAtCrash)
  expect(rows.map(({ index }) => Number(index))).toEqual(rows.map((_, at) => at))
  expect(new Set(rows.map(({ entry_id }) => entry_id)).size).toBe(rows.length)
  const placed = new Set(rows.map(({ entry_id }) => entry_id))
  expect(acknowledged.filter((id) => !placed.has(id))).toEqual([])
  const { rows: counted } = await admin.query('SELECT count(*)::int AS entries FROM audit.entry')
  expect(counted[0].entries).toBe(rows.length)

  const tree = new Frontier()
  const roots = new Map<number, Buffer>()
  for (const { hash } of rows) {
    tree.append(hash)
    roots.set(tree.size, tree.root())
  }
  const key = parseVerificationKey(
    verificationKey(signerFrom(join(dataDir, 'log', 'key'), 'test.invalid/log')),
  )
  const { rows: notes } = await admin.query<{ note: string }>('SELECT note FROM audit.checkpoint')
  await admin.end()
  expect(notes.length).toBeGreaterThan(5)
  for (const { note } of notes) {
    const { size, root } = parseCheckpoint(parseNote(note).text)
    expect(isSignedBy(parseNote(note), key)).toBe(true)
    expect(roots.get(size)?.equals(root)).toBe(true)
  }
  expect(complaints.filter((line) => !line.startsWith('again:'))).toEqual([])
}, 60_000)
