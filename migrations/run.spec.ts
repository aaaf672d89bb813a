import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../test/support/database.js'
import { migrate } from './run.js'

let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

const as = async <T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> => {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

test('running the migrations again, twice at once, changes nothing', async () => {
  await Promise.all([migrate(database.adminUrl, {}), migrate(database.adminUrl, {})])
  const names = await as(database.adminUrl, async (client) =>
    (await client.query('SELECT name FROM vigil_migration ORDER BY id')).rows.map((row) => row.name),
  )
  expect(new Set(names).size).toBe(names.length)
  expect(names.length).toBeGreaterThan(0)
})

test.each(['vigil_fraud', 'vigil_imaging', 'vigil_compliance', 'vigil_sequencer'] as const)(
  '%s can log in, and can neither create nor become anything',
  async (role) => {
    await as(database.url(role), async (client) => {
      await expect(client.query('CREATE TABLE public.t (a int)')).rejects.toThrow(/permission denied/)
      await expect(client.query('CREATE SCHEMA s')).rejects.toThrow(/permission denied/)
      await expect(client.query('CREATE ROLE r')).rejects.toThrow(/permission denied/)
      await expect(client.query('SET ROLE vigil_owner')).rejects.toThrow(/permission denied/)
    })
  },
)

test('a service sees nothing of another service', async () => {
  await as(database.url('vigil_fraud'), async (client) => {
    await expect(client.query('CREATE TABLE imaging.t (a int)')).rejects.toThrow(/permission denied/)
    const { rows } = await client.query(
      `SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema IN ('imaging', 'identity')`,
    )
    expect(rows).toEqual([])
  })
})
