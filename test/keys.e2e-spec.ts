import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { beginRotation, countVersions, finishRotation, LocalKeyring } from '#libs/crypto'
import { createTestDatabase, type TestDatabase } from './support/database.js'

const ROOT = resolve(import.meta.dirname, '..')
let database: TestDatabase
let dataDir: string
let admin: pg.Client

beforeAll(async () => {
  database = await createTestDatabase()
  dataDir = mkdtempSync(join(tmpdir(), 'vigil-keys-'))
  admin = new pg.Client({ connectionString: database.adminUrl })
  await admin.connect()
})
afterAll(async () => {
  await admin?.end()
  await database?.drop()
  rmSync(dataDir, { recursive: true, force: true })
})

interface Done {
  writes: number
  reads: number
  failures: string[]
}

/** A process that seals and opens without pause. */
function startSealing() {
  const args = ['--conditions=project-source', '--import', join(ROOT, 'test/support/typescript.mjs')]
  const script = [join(ROOT, 'test/support/sealing-process.ts'), database.url('vigil_imaging'), dataDir]
  const child = spawn(process.execPath, [...args, ...script], {
    stdio: ['pipe', 'pipe', 'inherit'],
    cwd: ROOT,
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const state: { done: Done } = { done: { writes: 0, reads: 0, failures: [] } }
  createInterface({ input: child.stdout }).on('line', (line) => {
    state.done = JSON.parse(line) as Done
  })
  const end = async () => {
    child.stdin.end()
    await new Promise((exit) => child.once('exit', exit))
    return state.done
  }
  return { state, end }
}

function rotateKeys(...args: string[]): {
  child: ChildProcess
  result: Promise<{ code: number | null; text: string }>
} {
  const child = spawn(process.execPath, [join(ROOT, 'dist/scripts/keys-rotate.js'), ...args], {
    env: { ...process.env, DATA_DIR: dataDir, KEYS_DATABASE_URL: database.url('vigil_keys') },
    cwd: ROOT,
  })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (text += chunk))
  const result = new Promise<{ code: number | null; text: string }>((done) =>
    child.once('close', (code) => done({ code, text })),
  )
  return { child, result }
}

const latest = async () =>
  (await admin.query('SELECT * FROM keys.rotation ORDER BY started_at DESC LIMIT 1')).rows[0]

/** A rotation by this process. */
async function turnOver(options?: { fresh: boolean }): Promise<Map<string, number>> {
  const pool = new pg.Pool({ connectionString: database.url('vigil_keys') })
  pool.on('connect', (client) => client.on('error', () => undefined))
  const provider = LocalKeyring.open(join(dataDir, 'secrets', 'keyring.json'))
  const order = { pool, provider, record: async () => undefined, batch: 50 }
  for await (const _ of finishRotation(order, await beginRotation(order, options)));
  const counts = await countVersions(order)
  await pool.end()
  return counts
}

describe('turning the keys over', () => {
  test('while two processes read and write: none fails, a kill -9 is made up for, everything ends under the newest key', async () => {
    const processes = [startSealing(), startSealing()]
    const total = () => processes.reduce((sum, { state }) => sum + state.done.writes, 0)
    await expect.poll(total, { timeout: 25_000 }).toBeGreaterThan(40)

    const killed = rotateKeys('--batch', '1')
    const seen = async () => Number((await latest())?.seen ?? 0)
    await expect.poll(seen, { timeout: 25_000, interval: 5 }).toBeGreaterThan(5)
    killed.child.kill('SIGKILL')
    await killed.result
    const halfway = await latest()
    expect(halfway.finished_at).toBeNull()

    const resumed = await rotateKeys().result
    expect(resumed.text).toMatch(/going on with local 2\n.*keys re-wrapped under local 2/)
    expect(resumed.code).toBe(0)
    const finished = await latest()
    expect(finished.id).toBe(halfway.id)
    expect(finished.finished_at).not.toBeNull()

    const before = total()
    await turnOver()
    await expect.poll(total, { timeout: 15_000 }).toBeGreaterThan(before + 5)
    const done = await Promise.all(processes.map(({ end }) => end()))
    for (const { writes, reads, failures } of done) {
      expect(failures).toEqual([])
      expect(Math.min(writes, reads)).toBeGreaterThan(10)
    }
    expect([...(await turnOver({ fresh: false })).keys()]).toEqual(['local 3'])
    const { rows } = await admin.query(
      `SELECT action, count(*)::int AS n FROM audit.entry WHERE action LIKE 'KEY_ROTATION_%' GROUP BY 1 ORDER BY 1`,
    )
    expect(rows).toEqual([
      { action: 'KEY_ROTATION_FINISHED', n: 1 },
      { action: 'KEY_ROTATION_STARTED', n: 1 },
    ])
  }, 90_000)

  test('a wrapped key that was damaged stays as it is and is named; the status tells what is under what', async () => {
    await admin.query(
      `INSERT INTO keys.data_key (id, tenant, purpose, subject, wrapped)
       VALUES ('01890a5d-ac96-774b-bcce-b302099a8057', 'default', 'imaging', '1:damaged', decode(repeat('01', 90), 'hex'))`,
    )
    const { code, text } = await rotateKeys('--rewrap').result
    expect(code).toBe(2)
    expect(text).toContain('does not open, left as it is: data-key 01890a5d-ac96-774b-bcce-b302099a8057')
    const status = await rotateKeys('--status').result
    expect(status.text).toMatch(/last rotation {2}local 3: begun .*, finished .*, \d+ keys re-wrapped/)
    expect(status.text).toMatch(/ 1 keys under local 16843009 {2}\(older\)/)
    await admin.query(`DELETE FROM keys.data_key WHERE subject = '1:damaged'`)
  })

  test('a key that turns over by itself while a rotation is under way is what all end under', async () => {
    const pool = new pg.Pool({ connectionString: database.url('vigil_keys') })
    pool.on('connect', (client) => client.on('error', () => undefined))
    onTestFinished(() => pool.end())
    const provider = LocalKeyring.open(join(dataDir, 'secrets', 'keyring.json'))
    const order = { pool, provider, record: async () => undefined, batch: 3 }
    const rotation = await beginRotation(order)
    const first = finishRotation(order, rotation)
    await first.next()
    await first.return(undefined)
    const meanwhile = await provider.rotate()
    expect(rotation.version).not.toBe(meanwhile)
    expect([...(await turnOver()).keys()]).toEqual([meanwhile])
    expect(await latest()).toMatchObject({ id: rotation.id, version: meanwhile })
  })

  test('two at once: the second says that it is not alone and changes nothing', async () => {
    const client = new pg.Client({ connectionString: database.url('vigil_keys') })
    await client.connect()
    await client.query('SELECT pg_advisory_lock($1)', [0x72_6f_74_61])
    const before = await LocalKeyring.open(join(dataDir, 'secrets', 'keyring.json')).currentVersion()
    const { code, text } = await rotateKeys().result
    expect([code, text]).toEqual([1, 'Another process rotates the keys already: see --status\n'])
    await client.end()
    expect(await LocalKeyring.open(join(dataDir, 'secrets', 'keyring.json')).currentVersion()).toBe(before)
  })
})
