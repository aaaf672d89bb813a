import { createHash, timingSafeEqual } from 'node:crypto'
import type { JWK } from 'jose'
import type { ClientBase, Pool } from 'pg'

/** An application that may ask for tokens: for itself, or for the person who uses it. */
export interface Client {
  clientId: string
  name: string
  tenant: string
  scopes: string[]
  authMethod: 'client_secret' | 'private_key_jwt' | 'none'
  /** SHA-256 of each secret that is valid now: two while they are being changed. */
  secretHashes: string[]
  jwks: { keys: JWK[] } | null
  redirectUris: string[]
  applicationType: 'web' | 'native'
  firstParty: boolean
  certificateBound: boolean
}

export interface NewClient {
  name: string
  client_id: string
  /** Absent where the client signs with its own key, or is public. */
  client_secret?: string
  scopes: string[]
  tenant?: string
  jwks?: { keys: JWK[] }
  redirect_uris?: string[]
  application_type?: 'web' | 'native'
  first_party?: boolean
  certificate_bound?: boolean
}

export const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest()

/** Whether a secret is one of those whose hashes are given; every hash is compared, in constant time. */
export function secretMatches(hashes: readonly string[], secret: string): boolean {
  const given = sha256(secret)
  return hashes
    .map((hash) => Buffer.from(hash, 'hex'))
    .filter((hash) => hash.length === given.length)
    .map((hash) => timingSafeEqual(hash, given))
    .includes(true)
}

const methodOf = ({ client_secret, jwks }: NewClient): Client['authMethod'] =>
  jwks ? 'private_key_jwt' : client_secret === undefined ? 'none' : 'client_secret'

/** Registers a client in the caller's transaction; false where its id is taken. */
export async function addClient(database: ClientBase, client: NewClient): Promise<boolean> {
  const { rowCount } = await database.query(
    `INSERT INTO identity.client (client_id, name, tenant, scopes, auth_method, jwks, redirect_uris,
       application_type, first_party, certificate_bound)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (client_id) DO NOTHING`,
    [
      client.client_id,
      client.name,
      client.tenant ?? 'default',
      client.scopes,
      methodOf(client),
      client.jwks ?? null,
      client.redirect_uris ?? [],
      client.application_type ?? 'web',
      client.first_party ?? false,
      client.certificate_bound ?? false,
    ],
  )
  if (rowCount === 0) return false
  if (client.client_secret) await addSecret(database, client.client_id, client.client_secret)
  return true
}

export async function addSecret(database: ClientBase, clientId: string, secret: string): Promise<void> {
  await database.query('INSERT INTO identity.client_secret (client_id, secret_sha256) VALUES ($1, $2)', [
    clientId,
    sha256(secret),
  ])
}

/** Registers clients; one that is there already is left as it is. */
export async function seedClients(database: ClientBase, clients: NewClient[]): Promise<void> {
  for (const client of clients) await addClient(database, client)
}

interface Row {
  client_id: string
  name: string
  tenant: string
  scopes: string[]
  auth_method: Client['authMethod']
  jwks: { keys: JWK[] } | null
  redirect_uris: string[]
  application_type: Client['applicationType']
  first_party: boolean
  certificate_bound: boolean
  secret_hashes: string[]
}

/** The client of this id, unless it was revoked. */
export async function findClient(database: Pool, clientId: string): Promise<Client | undefined> {
  // An assertion or a JSON body may name anything; PostgreSQL's text holds no NUL.
  if (clientId.includes('\0')) return undefined
  const { rows } = await database.query<Row>({
    name: 'find-client',
    text: `SELECT client_id, name, tenant, scopes, auth_method, jwks, redirect_uris, application_type,
         first_party, certificate_bound,
         ARRAY(SELECT encode(s.secret_sha256, 'hex') FROM identity.client_secret s
           WHERE s.client_id = c.client_id AND (s.expires_at IS NULL OR s.expires_at > now())) AS secret_hashes
       FROM identity.client c WHERE client_id = $1 AND revoked_at IS NULL`,
    values: [clientId],
  })
  const [row] = rows
  return (
    row && {
      clientId: row.client_id,
      name: row.name,
      tenant: row.tenant,
      scopes: row.scopes,
      authMethod: row.auth_method,
      secretHashes: row.secret_hashes,
      jwks: row.jwks,
      redirectUris: row.redirect_uris,
      applicationType: row.application_type,
      firstParty: row.first_party,
      certificateBound: row.certificate_bound,
    }
  )
}
