import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { dropOldPayments } from '../apps/fraud/src/history/retention.js'
import { createPool } from '../libs/platform/src/database.js'

const USAGE = `npm run fraud:retention -- DAYS
Drops payments, decisions and labels of the months that lie wholly more than DAYS (90 at least) back, and says so in the
audit log. Decisions under way do not wait. Into DATABASE_URL, or the running Vigil of DATA_DIR (.data).`

function databaseUrl(): string {
  const note = join(process.env.DATA_DIR ?? '.data', 'secrets', 'fraud-database-url')
  const url = process.env.DATABASE_URL ?? (existsSync(note) ? readFileSync(note, 'utf8').trim() : undefined)
  if (!url) throw new Error('Set DATABASE_URL, or start Vigil first (npm start)')
  return url
}

async function main(): Promise<number> {
  const days = Number(process.argv[2])
  if (!(days >= 90)) {
    console.error(USAGE)
    return 1
  }
  const pool = createPool(databaseUrl(), { applicationName: 'vigil-fraud-retention', max: 1 })
  try {
    const { before, payments, months } = await dropOldPayments(pool, days, Date.now())
    console.log(
      `${payments} payments received before ${before} dropped, and ${months.length} partitions: ${months.join(', ') || 'none'}`,
    )
    return 0
  } finally {
    await pool.end()
  }
}

main().then(
  (code) => {
    process.exitCode = code
  },
  (error: Error) => {
    console.error(error.message)
    process.exitCode = 1
  },
)
