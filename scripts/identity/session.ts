import { existsSync, readFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { AdministrationError, type Operator } from '../../apps/compliance/src/identity/administration.js'

function databaseUrl(): string {
  const note = join(process.env.DATA_DIR ?? '.data', 'secrets', 'identity-database-url')
  const url =
    process.env.IDENTITY_DATABASE_URL ?? (existsSync(note) ? readFileSync(note, 'utf8').trim() : undefined)
  if (!url)
    throw new AdministrationError(
      'Set IDENTITY_DATABASE_URL (role vigil_identity), or start Vigil first (npm start)',
    )
  return url
}

/** Runs one act in a transaction, so that it and its audit entry are written together or not at all. */
export async function administer<T>(
  command: string,
  act: (database: pg.Client, operator: Operator) => Promise<T>,
): Promise<T> {
  const client = new pg.Client({ connectionString: databaseUrl(), application_name: `vigil-${command}` })
  await client.connect()
  try {
    await client.query('BEGIN')
    const result = await act(client, { command, account: userInfo().username.slice(0, 64) })
    await client.query('COMMIT')
    return result
  } finally {
    await client.end()
  }
}

const UNITS: Record<string, number> = { s: 1, m: 60, h: 3_600, d: 86_400 }

/** `90d`, `24h`, `10m`, `30s` in seconds. */
export function seconds(text: string): number {
  const match = /^(\d{1,6})([smhd])$/.exec(text)
  if (!match) throw new AdministrationError(`"${text}" is no duration: write 90d, 24h, 10m or 30s`)
  return Number(match[1]) * UNITS[match[2]!]!
}

/** Ends the command: 0, or 1 with what was wrong in one line. */
export function conclude(work: Promise<void>): void {
  work.catch((error: Error) => {
    console.error(error instanceof AdministrationError ? error.message : describe(error))
    process.exitCode = 1
  })
}

function describe(error: Error): string {
  const { code } = error as { code?: string }
  return code ? `The database could not be used (${code})` : error.message
}
