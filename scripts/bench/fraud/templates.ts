import { createHash } from 'node:crypto'
import pg from 'pg'
import { DataSource } from 'typeorm'
import { inTransaction } from '../../../libs/platform/src/database.js'
import { migrations } from '../../../migrations/index.js'
import { entities } from '../baseline/entities.js'
import { FILLS, type Filled, fill } from './history.sql.js'
import type { BenchServer } from './server.js'

/** Part of a template's name: another schema or another way to fill it is another template. */
const generationOf = (service: Filled) =>
  createHash('sha256')
    .update(JSON.stringify([migrations.map((migration) => migration.name), FILLS[service], String(fill)]))
    .digest('hex')
    .slice(0, 8)

async function createTables(server: BenchServer, database: string): Promise<void> {
  const url = server.url(database).href
  const source = new DataSource({ type: 'postgres', url, entities, synchronize: true })
  await source.initialize()
  await source.destroy()
}

async function createTemplate(
  server: BenchServer,
  name: string,
  service: Filled,
  payments: number,
): Promise<void> {
  const draft = `${name}_draft`
  await server.create(draft, service === 'product' ? 'vigil' : undefined)
  if (service === 'baseline') await createTables(server, draft)
  const pool = new pg.Pool({ connectionString: server.url(draft).href, max: 1 })
  try {
    await inTransaction(pool, (client) => fill(client, service, payments))
    await pool.query('VACUUM (ANALYZE)')
  } finally {
    await pool.end()
  }
  await server.drop(name)
  await server.query('postgres', `ALTER DATABASE ${draft} RENAME TO ${name}`)
}

/**
 * Makes a database of that name with the service's tables and so many payments of history: a copy of a template that
 * is filled once and kept for later runs.
 */
export async function createHistory(
  server: BenchServer,
  name: string,
  service: Filled,
  payments: number,
  { fresh, log }: { fresh: boolean; log: (line: string) => void },
): Promise<void> {
  const template = `${service}_${payments}_${generationOf(service)}`
  const [found] = await server.query('postgres', 'SELECT FROM pg_database WHERE datname = $1', [template])
  if (!found || fresh) {
    log(`filling ${payments.toLocaleString('en')} payments of history (${service})`)
    await createTemplate(server, template, service, payments)
  }
  await server.create(name, template)
}
