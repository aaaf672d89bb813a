import pg from 'pg'
import { DataSource } from 'typeorm'
import { migrateQueue } from '../libs/queue/src/migrate.js'
import { migrations } from './index.js'

/** Two services that start together must not migrate together: one advisory lock for all. */
const LOCK = 0x76_69_67_69

async function setPasswords(client: pg.Client, passwords: Record<string, string>): Promise<void> {
  for (const [role, password] of Object.entries(passwords)) {
    await client.query(
      `ALTER ROLE ${client.escapeIdentifier(role)} PASSWORD ${client.escapeLiteral(password)}`,
    )
  }
}

/**
 * Brings the database at `adminUrl` up to date and gives the service roles their passwords. The admin role
 * must be allowed to create roles and schemas; the services never use it.
 */
export async function migrate(adminUrl: string, rolePasswords: Record<string, string>): Promise<void> {
  const client = new pg.Client({ connectionString: adminUrl, application_name: 'vigil-migrate' })
  await client.connect()
  try {
    await client.query('SELECT pg_advisory_lock($1)', [LOCK])
    const source = new DataSource({
      type: 'postgres',
      url: adminUrl,
      migrations,
      migrationsTableName: 'vigil_migration',
      migrationsTransactionMode: 'each',
    })
    await source.initialize()
    try {
      await source.runMigrations()
    } finally {
      await source.destroy()
    }
    await migrateQueue(client, { owner: 'vigil_owner', users: ['vigil_imaging', 'vigil_compliance'] })
    await setPasswords(client, rolePasswords)
  } finally {
    await client.end()
  }
}
