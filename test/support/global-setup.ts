import { randomBytes } from 'node:crypto'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import type { TestProject } from 'vitest/node'
import { migrate } from '../../migrations/run.js'
import { startEmbeddedPostgres } from '../../scripts/embedded/postgres.js'

declare module 'vitest' {
  interface ProvidedContext {
    /** Superuser URL of the run's PostgreSQL, to the template database that has every migration. */
    templateUrl: string
    /** One password for all service roles of the run. */
    rolePassword: string
  }
}

/** One real PostgreSQL for the whole run; each test file clones the migrated template for itself. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const dataDir = mkdtempSync(join(tmpdir(), 'vigil-test-'))
  chmodSync(dataDir, 0o711)
  const postgres = await startEmbeddedPostgres({ dataDir, port: 0, log: () => undefined })
  const rolePassword = randomBytes(16).toString('hex')
  const roles = [
    'vigil_fraud',
    'vigil_imaging',
    'vigil_compliance',
    'vigil_sequencer',
    'vigil_keys',
    'vigil_identity',
  ]
  await migrate(postgres.adminUrl, Object.fromEntries(roles.map((role) => [role, rolePassword])))
  await keepAsTemplate(postgres.adminUrl)
  project.provide('templateUrl', postgres.adminUrl)
  project.provide('rolePassword', rolePassword)
  return async () => {
    await postgres.stop('immediate')
    rmSync(dataDir, { recursive: true, force: true })
  }
}

async function keepAsTemplate(adminUrl: string): Promise<void> {
  const url = new URL(adminUrl)
  url.pathname = '/postgres'
  const client = new pg.Client({ connectionString: url.href })
  await client.connect()
  await client.query('ALTER DATABASE vigil WITH ALLOW_CONNECTIONS false IS_TEMPLATE true')
  await client.end()
}
