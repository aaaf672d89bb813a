import type { ClientBase } from 'pg'
import { ROLE_SCOPES } from '#libs/auth'
import { type Operator, recordAct, registerPerson } from './administration.js'
import { addClient, type NewClient } from './clients.js'
import { normalEmail } from './people.js'

interface Seed {
  clients: NewClient[]
  users: { name: string; email: string; password: string; roles: string[] }[]
}

/** The page of the compliance service, and command lines of people: public clients, so that PKCE is their only secret. */
const APPLICATIONS: NewClient[] = [
  {
    client_id: 'console',
    name: 'Vigil console',
    scopes: [...new Set(Object.values(ROLE_SCOPES).flat())],
    redirect_uris: ['/console/callback'],
    first_party: true,
  },
  {
    client_id: 'command-line',
    name: 'Vigil on the command line',
    scopes: ['data:read', 'fraud:review', 'audit:read', 'models:write', 'policy:write', 'keys:rotate'],
    redirect_uris: ['http://127.0.0.1/callback'],
    application_type: 'native',
  },
]

const INSTALLATION: Operator = { command: 'installation', account: 'installation' }

/** The clients and people of the first start, each with its entry; who is there already is left as they are. */
export async function seedIdentities(database: ClientBase, seed: Seed): Promise<void> {
  await database.query('BEGIN')
  try {
    await addAll(database, seed)
    await database.query('COMMIT')
  } catch (error) {
    await database.query('ROLLBACK')
    throw error
  }
}

async function addAll(database: ClientBase, { clients, users }: Seed): Promise<void> {
  for (const client of [...clients, ...APPLICATIONS])
    if (await addClient(database, client)) {
      const subject = { type: 'client' as const, id: client.client_id }
      await recordAct(database, INSTALLATION, 'CLIENT_ADDED', subject, { scope: client.scopes.join(' ') })
    }
  for (const user of users) {
    const known = await database.query('SELECT FROM identity.person WHERE email = $1', [
      normalEmail(user.email),
    ])
    if (known.rowCount === 0) await registerPerson(database, INSTALLATION, user)
  }
}
