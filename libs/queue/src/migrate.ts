import { runMigrations } from 'bullmq'
import type { Client } from 'pg'
import { QUEUE_SCHEMA } from './backend.js'

interface QueueRoles {
  /** Owns the schema and everything in it. */
  owner: string
  /** Read and write rows, and call functions. */
  users: readonly string[]
}

/** Brings BullMQ's own schema up to date, on an administrator's single connection. */
export async function migrateQueue(client: Client, { owner, users }: QueueRoles): Promise<void> {
  // BullMQ says CREATE SCHEMA IF NOT EXISTS, which needs this right even when the schema exists; a copy or a
  // restored dump of a database comes without it.
  await client.query(`DO $$ BEGIN
    EXECUTE format('GRANT CREATE ON DATABASE %I TO ${client.escapeIdentifier(owner)}', current_database());
  END $$`)
  await client.query(`SET ROLE ${client.escapeIdentifier(owner)}`)
  try {
    await runMigrations(client, QUEUE_SCHEMA)
    const grantees = users.map((role) => client.escapeIdentifier(role)).join(', ')
    await client.query(`
      GRANT USAGE ON SCHEMA ${QUEUE_SCHEMA} TO ${grantees};
      GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${QUEUE_SCHEMA} TO ${grantees};
      GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA ${QUEUE_SCHEMA} TO ${grantees};
      GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA ${QUEUE_SCHEMA} TO ${grantees};
    `)
  } finally {
    await client.query('RESET ROLE')
  }
}
