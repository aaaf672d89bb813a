import { randomBytes } from 'node:crypto'
import { chmodSync, mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import pg from 'pg'
import { migrate } from '../../../migrations/run.js'
import { startEmbeddedPostgres } from '../../embedded/postgres.js'

const ROLES = ['vigil_fraud', 'vigil_imaging', 'vigil_compliance', 'vigil_sequencer']

/** The one server of a run: the product's embedded PostgreSQL with the product's settings. */
export interface BenchServer {
  pid: number
  version: string
  /** Superuser's URL of a database. */
  url(database: string): URL
  /** URL of a service's role. */
  roleUrl(database: string, role: string): string
  query<T extends pg.QueryResultRow>(database: string, sql: string, values?: unknown[]): Promise<T[]>
  create(name: string, template?: string): Promise<void>
  drop(name: string): Promise<void>
  stop(): Promise<void>
}

function createFolder(): string {
  const folder = resolve(process.env.DATA_DIR ?? '.data', 'bench')
  mkdirSync(folder, { recursive: true })
  // The server is another user when we are root: it must pass through.
  for (const path of [join(folder, '..'), folder]) chmodSync(path, 0o711)
  return folder
}

export async function startServer(log: (line: string) => void): Promise<BenchServer> {
  const postgres = await startEmbeddedPostgres({ dataDir: createFolder(), port: 0, log })
  const password = randomBytes(16).toString('hex')
  const url = (database: string) => {
    const target = new URL(postgres.adminUrl)
    target.pathname = `/${database}`
    return target
  }
  const query: BenchServer['query'] = async (database, sql, values) => {
    const client = new pg.Client({ connectionString: url(database).href })
    await client.connect()
    try {
      return (await client.query(sql, values)).rows
    } finally {
      await client.end()
    }
  }
  await migrate(postgres.adminUrl, Object.fromEntries(ROLES.map((role) => [role, password])))
  const [row] = await query<{ server_version: string }>('postgres', 'SHOW server_version')
  const drop = async (name: string) =>
    void (await query('postgres', `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`))
  return {
    pid: postgres.pid,
    version: row!.server_version,
    url,
    roleUrl: (database, role) => {
      const target = url(database)
      target.username = role
      target.password = password
      return target.href
    },
    query,
    drop,
    create: async (name, template) => {
      await drop(name)
      await query(
        'postgres',
        `CREATE DATABASE ${name} ${template ? `TEMPLATE ${template} STRATEGY file_copy` : ''}`,
      )
      await query('postgres', `GRANT CONNECT ON DATABASE ${name} TO vigil_app, vigil_sequencer`)
    },
    stop: () => postgres.stop(),
  }
}
