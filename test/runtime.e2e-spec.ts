import { type ChildProcess, spawn } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterEach, describe, expect, test } from 'vitest'
import { freePort } from '../scripts/embedded/port.js'
import { startEmbeddedPostgres } from '../scripts/embedded/postgres.js'
import { lockDataDir } from '../scripts/supervise/lock.js'

const folders: string[] = []
function dataDir(parent = tmpdir()): string {
  const folder = mkdtempSync(join(parent, 'vigil-runtime-'))
  chmodSync(folder, 0o711)
  folders.push(folder)
  return folder
}
const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

async function start(folder: string, port = 0) {
  const said: string[] = []
  const postgres = await startEmbeddedPostgres({ dataDir: folder, port, log: (line) => said.push(line) })
  cleanups.push(() => postgres.stop('immediate'))
  return { ...postgres, said }
}
async function query<T extends object>(url: string, sql: string): Promise<T[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query<T>(sql)).rows
  } finally {
    await client.end()
  }
}

describe('the embedded PostgreSQL', () => {
  test('keeps what was committed over a second start and over kill -9', async () => {
    const folder = dataDir()
    const first = await start(folder)
    await query(first.adminUrl, 'CREATE TABLE kept AS SELECT 1 AS n')
    await first.stop()
    const second = await start(folder)
    await query(second.adminUrl, 'INSERT INTO kept VALUES (2)')
    process.kill(second.pid, 'SIGKILL')
    await second.exited
    expect(existsSync(join(folder, 'postgres', 'data', 'postmaster.pid'))).toBe(true)
    const third = await start(folder)
    expect(await query(third.adminUrl, 'SELECT n FROM kept ORDER BY n')).toEqual([{ n: 1 }, { n: 2 }])
  })

  test('stops a server that outlived its supervisor, and says so', async () => {
    const folder = dataDir()
    const orphan = await start(folder)
    const next = await start(folder)
    await orphan.exited
    expect(next.said.join()).toMatch(/left behind/)
    expect(await query(next.adminUrl, 'SELECT 1 AS n')).toEqual([{ n: 1 }])
  })

  test('takes another port where its own is taken, and says so', async () => {
    const taken = createServer()
    const port = await freePort(0)
    await new Promise<void>((done) => taken.listen(port, '127.0.0.1', done))
    cleanups.push(() => new Promise((done) => taken.close(done)))
    const postgres = await start(dataDir(), port)
    expect(postgres.port).not.toBe(port)
    expect(postgres.said.join()).toContain(`port ${port} is taken`)
  })

  test('begins again where its first start was interrupted', async () => {
    const folder = dataDir()
    mkdirSync(join(folder, 'postgres', 'data.draft'), { recursive: true })
    writeFileSync(join(folder, 'postgres', 'data.draft', 'PG_VERSION'), '18')
    chmodSync(join(folder, 'postgres', 'data.draft'), 0o777)
    const postgres = await start(folder)
    expect(await query(postgres.adminUrl, 'SELECT 1 AS n')).toEqual([{ n: 1 }])
  })

  test('lets nobody in without the password, and keeps that for its owner alone', async () => {
    const folder = dataDir()
    const postgres = await start(folder)
    const url = new URL(postgres.adminUrl)
    url.password = 'wrong'
    await expect(query(url.href, 'SELECT 1')).rejects.toThrow(/password authentication failed/)
    expect(statSync(join(folder, 'secrets', 'postgres-admin')).mode & 0o777).toBe(0o600)
    expect(readFileSync(join(folder, 'postgres.log'), 'utf8')).not.toContain(
      new URL(postgres.adminUrl).password,
    )
  })

  test.skipIf(process.getuid?.() !== 0)(
    'works for root where its own user cannot enter the folder',
    async () => {
      const closed = dataDir()
      chmodSync(closed, 0o700)
      const inside = join(closed, 'clone')
      mkdirSync(inside)
      const postgres = await start(inside)
      const home = readFileSync(join(inside, 'postgres-location'), 'utf8')
      cleanups.unshift(async () => rmSync(home, { recursive: true, force: true }))
      expect(postgres.said.join()).toContain(home)
      expect(await query(postgres.adminUrl, 'SELECT 1 AS n')).toEqual([{ n: 1 }])
    },
  )
})

describe('the lock of the data folder', () => {
  test('is held by one, given back, and taken over from the dead', async () => {
    const folder = dataDir()
    const unlock = await lockDataDir(folder)
    await expect(lockDataDir(folder)).rejects.toThrow(`pid ${process.pid}`)
    unlock()
    writeFileSync(join(folder, 'vigil.lock'), JSON.stringify({ pid: 2 ** 22 - 7, started: 'long ago' }))
    ;(await lockDataDir(folder))()
  })

  test('is not fooled by a number that another process has by now', async () => {
    const folder = dataDir()
    writeFileSync(
      join(folder, 'vigil.lock'),
      JSON.stringify({ pid: process.pid, started: 'Thu Jan  1 00:00:00 1970' }),
    )
    ;(await lockDataDir(folder))()
  })

  test('of ten that start at once goes to one', async () => {
    const folder = dataDir()
    const attempts = await Promise.allSettled(Array.from({ length: 10 }, () => lockDataDir(folder)))
    expect(attempts.filter(({ status }) => status === 'fulfilled').length).toBeLessThanOrEqual(1)
  })
})

interface Started {
  child: ChildProcess
  output: () => string
  exit: Promise<number | null>
}
function startVigil(folder: string): Started {
  const env = {
    ...process.env,
    DATA_DIR: folder,
    COMPLIANCE_PORT: '0',
    FRAUD_PORT: '0',
    IMAGING_PORT: '0',
    POSTGRES_PORT: '0',
  }
  const child = spawn(process.execPath, ['dist/scripts/start.js'], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (text += chunk))
  const exit = new Promise<number | null>((done) => child.once('exit', (code) => done(code)))
  cleanups.push(async () => {
    child.kill('SIGTERM')
    await exit
  })
  return { child, output: () => text, exit }
}
const up = (vigil: Started) =>
  expect.poll(vigil.output, { timeout: 60_000, interval: 100 }).toContain('Vigil is up')
const urlOf = (vigil: Started, service: string) =>
  new RegExp(`${service}\\s+(http://\\S+)`).exec(vigil.output())![1]!

async function tokenOf(vigil: Started, folder: string, name: string): Promise<string> {
  const { clients } = JSON.parse(readFileSync(join(folder, 'credentials.json'), 'utf8'))
  const client = clients.find((candidate: { name: string }) => candidate.name === name)
  const body = new URLSearchParams({
    grant_type: 'client_credentials',
    client_id: client.client_id,
    client_secret: client.client_secret,
  })
  const response = await fetch(`${urlOf(vigil, 'compliance')}/auth/token`, { method: 'POST', body })
  return ((await response.json()) as { access_token: string }).access_token
}

describe('the services', () => {
  test('are up on one command, refuse a second start on their folder, and stop in order within ten seconds', async () => {
    const folder = dataDir()
    const vigil = startVigil(folder)
    await up(vigil)
    for (const service of ['compliance', 'fraud', 'imaging']) {
      for (const path of ['/health', '/ready', '/metrics', '/openapi.json', '/docs']) {
        expect((await fetch(`${urlOf(vigil, service)}${path}`)).status, `${service}${path}`).toBe(200)
      }
    }
    expect(statSync(join(folder, 'credentials.json')).mode & 0o777).toBe(0o600)
    const second = startVigil(folder)
    expect(await second.exit).toBe(1)
    expect(second.output()).toContain(`Another Vigil (pid ${vigil.child.pid}) is running on ${folder}`)
    const startedAt = Date.now()
    vigil.child.kill('SIGTERM')
    expect(await vigil.exit).toBe(0)
    expect(Date.now() - startedAt).toBeLessThan(15_000)
  }, 120_000)

  test('lose no acknowledged decision when everything is killed with kill -9 under load', async () => {
    const folder = dataDir()
    const vigil = startVigil(folder)
    await up(vigil)
    const bearer = await tokenOf(vigil, folder, 'payments')
    const url = urlOf(vigil, 'fraud')
    const acknowledged = new Map<string, string>()
    let posted = 0
    const post = async () => {
      for (;;) {
        const id = `killed-${posted++}`
        const response = await fetch(`${url}/api/v1/transactions`, {
          method: 'POST',
          headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' },
          body: JSON.stringify({
            transaction_id: id,
            user_id: `user-${posted % 7}`,
            amount: 1,
            merchant_id: 'm',
            timestamp: '2026-11-01T10:00:00Z',
            location: { latitude: 1, longitude: 1 },
            payment_method: 'wallet',
          }),
        })
        const text = await response.text()
        if (response.ok) acknowledged.set(id, text)
      }
    }
    const clients = Array.from({ length: 8 }, () => post().catch(() => undefined))
    await expect.poll(() => acknowledged.size, { timeout: 30_000 }).toBeGreaterThan(60)
    vigil.child.kill('SIGKILL')
    await Promise.all(clients)
    const again = startVigil(folder)
    await up(again)
    const reader = await tokenOf(again, folder, 'payments')
    for (const [id, text] of acknowledged) {
      const response = await fetch(`${urlOf(again, 'fraud')}/api/v1/transactions/${id}`, {
        headers: { authorization: `Bearer ${reader}` },
      })
      expect(response.status, id).toBe(200)
      expect(((await response.json()) as { decision: unknown }).decision).toEqual(JSON.parse(text))
    }
  }, 180_000)
})
