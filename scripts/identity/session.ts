import { existsSync, readFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { AdministrationError, type Operator } from '../../apps/compliance/src/identity/administration.js'

/** Where a command does its work, and what it says. */
export interface Session {
  administer<T>(act: (database: pg.Client, operator: Operator) => Promise<T>): Promise<T>
  print(line: string): void
  env: NodeJS.ProcessEnv
}

function databaseUrl(env: NodeJS.ProcessEnv): string {
  const note = join(env.DATA_DIR ?? '.data', 'secrets', 'identity-database-url')
  const url = env.IDENTITY_DATABASE_URL ?? (existsSync(note) ? readFileSync(note, 'utf8').trim() : undefined)
  if (!url)
    throw new AdministrationError(
      'Set IDENTITY_DATABASE_URL (role vigil_identity), or start Vigil first (npm start)',
    )
  return url
}

/** Runs one act in a transaction, so that it and its audit entry are written together or not at all. */
async function administer<T>(
  command: string,
  url: string,
  act: (database: pg.Client, operator: Operator) => Promise<T>,
): Promise<T> {
  const client = new pg.Client({ connectionString: url, application_name: `vigil-${command}` })
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

export const openSession = (
  command: string,
  env: NodeJS.ProcessEnv,
  print: (line: string) => void,
): Session => ({
  administer: (act) => administer(command, databaseUrl(env), act),
  print,
  env,
})

const UNITS: Record<string, number> = { s: 1, m: 60, h: 3_600, d: 86_400 }

/** `90d`, `24h`, `10m`, `30s` in seconds. */
export function seconds(text: string): number {
  const match = /^(\d{1,6})([smhd])$/.exec(text)
  if (!match) throw new AdministrationError(`"${text}" is no duration: write 90d, 24h, 10m or 30s`)
  return Number(match[1]) * UNITS[match[2]!]!
}

/** Rows as lines of aligned columns, with the names of the columns first. */
export function tableOf(rows: readonly Record<string, unknown>[]): string[] {
  const names = Object.keys(rows[0] ?? {})
  const cells = [names, ...rows.map((row) => names.map((name) => String(row[name])))]
  const widths = names.map((_, at) => Math.max(...cells.map((line) => line[at]!.length)))
  return cells.map((line) =>
    line
      .map((cell, at) => cell.padEnd(widths[at]!))
      .join('  ')
      .trimEnd(),
  )
}

type Command = (args: string[], session: Session) => Promise<void>

/** Runs a command for the terminal: exit code 0, or 1 with what was wrong. */
export function runCommand(name: string, command: Command): void {
  const session = openSession(name, process.env, (line) => console.log(line))
  command(process.argv.slice(2), session).catch((error: Error) => {
    console.error(describe(error))
    process.exitCode = 1
  })
}

function describe(error: Error): string {
  const { code = '' } = error as { code?: string }
  if (code.startsWith('ERR_PARSE_ARGS')) return error.message
  return code ? `The database could not be used (${code})` : error.message
}
