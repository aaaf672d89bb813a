import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { writeSecret } from '../embedded/secret.js'

/** A machine client as `credentials.json` shows it; the database holds only the secret's hash. */
export interface ClientCredentials {
  name: string
  client_id: string
  client_secret: string
  scopes: string[]
}

export interface Credentials {
  clients: ClientCredentials[]
  /** People sign in with their browser; one of each role. */
  users: { name: string; email: string; password: string; roles: string[] }[]
}

const CLIENTS: Record<string, string[]> = {
  payments: ['ai:inference', 'data:read'],
  clinic: ['ai:inference', 'data:read'],
  analyst: ['data:read', 'fraud:review'],
  auditor: ['audit:read'],
  'privacy-officer': [
    'audit:read',
    'phi:reidentify',
    'phi:erase',
    'break-glass:review',
    'holds:write',
    'retention:write',
    'approvals:decide',
  ],
  'compliance-officer': ['audit:read', 'holds:write', 'retention:write', 'approvals:decide'],
  emergency: ['data:read', 'phi:break-glass'],
  operator: ['models:write', 'policy:write', 'keys:rotate'],
}

const USERS: Record<string, string> = {
  analyst: 'Ada Analyst',
  radiologist: 'Rosa Radiologist',
  auditor: 'Otto Auditor',
  'privacy-officer': 'Petra Privacy',
  operator: 'Omar Operator',
}

const ROLES = [
  'vigil_compliance',
  'vigil_fraud',
  'vigil_imaging',
  'vigil_sequencer',
  'vigil_keys',
  'vigil_identity',
] as const
export type RolePasswords = Record<(typeof ROLES)[number], string>

/** Reads a JSON file of secrets, or creates it. */
function readOrCreate<T>(path: string, create: () => T): T {
  if (!existsSync(path)) writeSecret(path, `${JSON.stringify(create(), null, 2)}\n`)
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
    users: Object.entries(USERS).map(([role, name]) => ({
      name,
      email: `${role}@vigil.example`,
      password: randomBytes(15).toString('base64url'),
      roles: [role],
    })),
  }))

/** The passwords of the services' database roles, made on the first start; a role that came later gets one too. */
export function rolePasswordsIn(dataDir: string): RolePasswords {
  const path = join(dataDir, 'secrets', 'database-roles.json')
  const known = readOrCreate<Partial<RolePasswords>>(path, () => ({}))
  const missing = ROLES.filter((role) => !known[role])
  const passwords = {
    ...known,
    ...Object.fromEntries(missing.map((role) => [role, randomBytes(24).toString('hex')])),
  } as RolePasswords
  if (missing.length > 0) writeSecret(path, `${JSON.stringify(passwords, null, 2)}\n`)
  return passwords
}
