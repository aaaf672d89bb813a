import { randomBytes } from 'node:crypto'
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeSync,
} from 'node:fs'
import { dirname, join } from 'node:path'

/** A machine client as `credentials.json` shows it; the database holds only the secret's hash. */
export interface ClientCredentials {
  name: string
  client_id: string
  client_secret: string
  scopes: string[]
}

export interface Credentials {
  clients: ClientCredentials[]
  /** People log in with the authorization code flow; none are created by default. */
  users: { name: string; email: string; password: string; roles: string[] }[]
}

const CLIENTS: Record<string, string[]> = {
  payments: ['ai:inference', 'data:read'],
  clinic: ['ai:inference', 'data:read'],
  analyst: ['data:read', 'fraud:review'],
  auditor: ['audit:read'],
  'privacy-officer': ['audit:read', 'phi:reidentify'],
  operator: ['models:write', 'policy:write', 'keys:rotate'],
}

const ROLES = ['vigil_compliance', 'vigil_fraud', 'vigil_imaging', 'vigil_sequencer'] as const
export type RolePasswords = Record<(typeof ROLES)[number], string>

/** Reads a JSON file of secrets, or creates it whole (mode 0600, never half written). */
function readOrCreate<T>(path: string, create: () => T): T {
  if (existsSync(path)) return JSON.parse(readFileSync(path, 'utf8')) as T
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const draft = `${path}.draft`
  const file = openSync(draft, 'w', 0o600)
  writeSync(file, `${JSON.stringify(create(), null, 2)}\n`)
  fsyncSync(file)
  closeSync(file)
  renameSync(draft, path)
  return JSON.parse(readFileSync(path, 'utf8')) as T
}

/** `credentials.json` of the data folder, made on the first start. */
export const credentialsIn = (dataDir: string): Credentials =>
  readOrCreate(join(dataDir, 'credentials.json'), () => ({
    clients: Object.entries(CLIENTS).map(([name, scopes]) => ({
      name,
      client_id: name,
      client_secret: randomBytes(32).toString('base64url'),
      scopes,
    })),
    users: [],
  }))

/** The passwords of the services' database roles, made on the first start. */
export const rolePasswordsIn = (dataDir: string): RolePasswords =>
  readOrCreate(join(dataDir, 'secrets', 'database-roles.json'), () =>
    Object.fromEntries(ROLES.map((role) => [role, randomBytes(24).toString('hex')])),
  ) as RolePasswords
