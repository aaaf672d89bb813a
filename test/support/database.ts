import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { inject } from 'vitest'

export type Role =
  | 'vigil_fraud'
  | 'vigil_imaging'
  | 'vigil_compliance'
  | 'vigil_sequencer'
  | 'vigil_keys'
  | 'vigil_identity'

/** A database of one test file: every migration applied, nothing else in it. */
export interface TestDatabase {
  /** Superuser URL: for set-up and for looking, never for the code under test. */
  adminUrl: string
  /** URL for a service's own role. */
  url(role: Role): string
  drop(): Promise<void>
}

/** Runs a statement outside every test database, as superuser. */
export async function administer(sql: string): Promise<void> {
  const url = new URL(inject('templateUrl'))
  url.pathname = '/postgres'
  const client = new pg.Client({ connectionString: url.href })
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}

/** Clones the migrated template on the run's real PostgreSQL (about 50 ms). */
export async function createTestDatabase(): Promise<TestDatabase> {
  const name = `test_${randomBytes(6).toString('hex')}`
  await administer(`CREATE DATABASE ${name} TEMPLATE vigil STRATEGY wal_log`)
  await administer(
    `REVOKE ALL ON DATABASE ${name} FROM PUBLIC; GRANT CONNECT ON DATABASE ${name} TO vigil_app, vigil_sequencer`,
  )
  const admin = new URL(inject('templateUrl'))
  admin.pathname = `/${name}`
  return {
    adminUrl: admin.href,
    url: (role) => {
      const url = new URL(admin)
      url.username = role
      url.password = inject('rolePassword')
      return url.href
    },
    drop: () => administer(`DROP DATABASE ${name} WITH (FORCE)`),
  }
}
