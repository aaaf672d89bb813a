import { mkdirSync } from 'node:fs'
import pg from 'pg'
import { z } from 'zod'
import { seedIdentities } from '../apps/compliance/src/identity/seed.js'
import { readConfig } from '../libs/platform/src/config.js'
import { retentionFrom, setRetention } from '../migrations/retention.js'
import { migrate } from '../migrations/run.js'
import { credentialsIn } from './supervise/secrets.js'

/** What the migration of one's own database needs: an administrator's URL and a password for each service role. */
const MigrateConfig = z.object({
  DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/ }),
  DATA_DIR: z.string().default('.data'),
  COMPLIANCE_DB_PASSWORD: z.string().min(16),
  FRAUD_DB_PASSWORD: z.string().min(16),
  IMAGING_DB_PASSWORD: z.string().min(16),
  SEQUENCER_DB_PASSWORD: z.string().min(16),
  KEYS_DB_PASSWORD: z.string().min(16),
  /** For the commands that administer clients and people. */
  IDENTITY_DB_PASSWORD: z.string().min(16),
})

async function main(): Promise<void> {
  const config = readConfig(MigrateConfig, process.env)
  mkdirSync(config.DATA_DIR, { recursive: true, mode: 0o711 })
  await migrate(config.DATABASE_URL, {
    vigil_compliance: config.COMPLIANCE_DB_PASSWORD,
    vigil_fraud: config.FRAUD_DB_PASSWORD,
    vigil_imaging: config.IMAGING_DB_PASSWORD,
    vigil_sequencer: config.SEQUENCER_DB_PASSWORD,
    vigil_keys: config.KEYS_DB_PASSWORD,
    vigil_identity: config.IDENTITY_DB_PASSWORD,
  })
  const client = new pg.Client({ connectionString: config.DATABASE_URL })
  await client.connect()
  try {
    await seedIdentities(client, credentialsIn(config.DATA_DIR))
    await setRetention(client, retentionFrom(process.env))
  } finally {
    await client.end()
  }
  console.log(
    `The database is up to date; the clients' credentials are in ${config.DATA_DIR}/credentials.json`,
  )
}

main().catch((error: Error) => {
  console.error(error.message)
  process.exit(1)
})
