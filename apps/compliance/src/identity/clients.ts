import { createHash, timingSafeEqual } from 'node:crypto'
import type { ClientBase } from 'pg'

/** A machine client that may ask for tokens. */
export interface Client {
  clientId: string
  tenant: string
  scopes: string[]
}

interface NewClient {
  name: string
  client_id: string
  client_secret: string
  scopes: string[]
}

const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest()

/** Registers clients of the default tenant; one that is there already is left as it is. */
export async function seedClients(database: ClientBase, clients: NewClient[]): Promise<void> {
  for (const { client_id, name, client_secret, scopes } of clients) {
    await database.query(
      `INSERT INTO identity.client (client_id, name, secret_sha256, scopes) VALUES ($1, $2, $3, $4)
       ON CONFLICT (client_id) DO NOTHING`,
      [client_id, name, sha256(client_secret), scopes],
    )
  }
}

interface Row {
  client_id: string
  tenant: string
  secret_sha256: Buffer
  scopes: string[]
}

const NOBODY = Buffer.alloc(32)

/** The client with this secret, or undefined: an unknown client takes as long as a wrong secret. */
export async function authenticateClient(
  database: ClientBase,
  clientId: string,
  clientSecret: string,
): Promise<Client | undefined> {
  const { rows } = await database.query<Row>(
    'SELECT client_id, tenant, secret_sha256, scopes FROM identity.client WHERE client_id = $1 AND revoked_at IS NULL',
    [clientId],
  )
  const [row] = rows
  const same = timingSafeEqual(row?.secret_sha256 ?? NOBODY, sha256(clientSecret))
  return row && same ? { clientId: row.client_id, tenant: row.tenant, scopes: row.scopes } : undefined
}
