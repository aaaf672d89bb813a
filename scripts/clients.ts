import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import {
  AdministrationError,
  newSecret,
  registerClient,
  revokeClient,
  rotateClientSecret,
} from '../apps/compliance/src/identity/administration.js'
import { addApiKey, revokeApiKey, rotateApiKey } from '../apps/compliance/src/identity/key-administration.js'
import { administer, conclude, seconds } from './identity/session.js'

const USAGE = `npm run clients -- list
npm run clients -- add ID --scopes "data:read audit:read" [--name NAME] [--tenant default]
    [--jwks FILE]                    the client signs its assertions (private_key_jwt); FILE is its public JWK Set
    [--redirect-uri URI]... [--public] [--native] [--first-party]      for people: authorization code and PKCE
    [--certificate-bound]            its tokens work only over TLS with its certificate
npm run clients -- rotate ID [--overlap 24h]        a new secret; the old one ends after the overlap
npm run clients -- revoke ID
npm run clients -- keys list
npm run clients -- keys add CLIENT --scopes "data:read" [--expires 90d]
npm run clients -- keys rotate KEY [--overlap 24h]
npm run clients -- keys revoke KEY
Secrets are printed once. Into IDENTITY_DATABASE_URL, or the running Vigil of DATA_DIR (.data). Exit code: 0 done, 1 not.`

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    name: { type: 'string' },
    scopes: { type: 'string', default: '' },
    tenant: { type: 'string', default: 'default' },
    jwks: { type: 'string' },
    'redirect-uri': { type: 'string', multiple: true, default: [] },
    public: { type: 'boolean', default: false },
    native: { type: 'boolean', default: false },
    'first-party': { type: 'boolean', default: false },
    'certificate-bound': { type: 'boolean', default: false },
    overlap: { type: 'string', default: '24h' },
    expires: { type: 'string', default: '90d' },
  },
})

const scopes = values.scopes.split(' ').filter(Boolean)

function required(value: string | undefined): string {
  if (!value) throw new AdministrationError(USAGE)
  return value
}

function publicKeys(path: string) {
  const { keys } = JSON.parse(readFileSync(path, 'utf8')) as { keys?: Record<string, string>[] }
  if (!keys?.length) throw new AdministrationError(`${path} is no JWK Set (RFC 7517 5)`)
  if (keys.some((key) => 'd' in key || key.kty === 'oct'))
    throw new AdministrationError(`${path} holds a private key: give the public part only`)
  return { keys }
}

async function add(id: string): Promise<void> {
  if (scopes.length === 0) throw new AdministrationError('--scopes says what the client may do')
  const secret = values.jwks || values.public ? undefined : newSecret()
  await administer('clients', (database, operator) =>
    registerClient(database, operator, {
      client_id: id,
      name: values.name ?? id,
      scopes,
      tenant: values.tenant,
      ...(secret ? { client_secret: secret } : {}),
      ...(values.jwks ? { jwks: publicKeys(values.jwks) as never } : {}),
      redirect_uris: values['redirect-uri'],
      application_type: values.native ? 'native' : 'web',
      first_party: values['first-party'],
      certificate_bound: values['certificate-bound'],
    }),
  )
  console.log(`client_id      ${id}`)
  if (secret) console.log(`client_secret  ${secret}`)
}

async function list(): Promise<void> {
  const { rows } = await administer('clients', (database) =>
    database.query(`
      SELECT client_id, tenant, auth_method AS method, array_to_string(scopes, ' ') AS scopes,
        (SELECT count(*)::int FROM identity.client_secret s WHERE s.client_id = c.client_id
          AND (s.expires_at IS NULL OR s.expires_at > now())) AS secrets,
        coalesce(to_char(revoked_at, 'YYYY-MM-DD'), '') AS revoked
      FROM identity.client c ORDER BY client_id`),
  )
  console.table(rows)
}

async function listKeys(): Promise<void> {
  const { rows } = await administer('clients', (database) =>
    database.query(`
      SELECT id, client_id, array_to_string(scopes, ' ') AS scopes, to_char(expires_at, 'YYYY-MM-DD HH24:MI') AS expires,
        coalesce(to_char(last_used_at, 'YYYY-MM-DD HH24:MI'), 'never') AS last_used,
        coalesce(to_char(revoked_at, 'YYYY-MM-DD'), '') AS revoked
      FROM identity.api_key ORDER BY client_id, created_at`),
  )
  console.table(rows)
}

const overlap = () => seconds(values.overlap)

const keyCommands: Record<string, (target: string) => Promise<void>> = {
  add: async (clientId) =>
    console.log(
      await administer('clients', (database, operator) =>
        addApiKey(database, operator, { clientId, scopes, validSeconds: seconds(values.expires) }),
      ),
    ),
  rotate: async (id) =>
    console.log(
      await administer('clients', (database, operator) => rotateApiKey(database, operator, id, overlap())),
    ),
  revoke: (id) => administer('clients', (database, operator) => revokeApiKey(database, operator, id)),
}

const commands: Record<string, (target: string) => Promise<void>> = {
  add,
  rotate: async (id) =>
    console.log(
      `client_secret  ${await administer('clients', (database, operator) => rotateClientSecret(database, operator, id, overlap()))}`,
    ),
  revoke: (id) => administer('clients', (database, operator) => revokeClient(database, operator, id)),
}

async function main(): Promise<void> {
  const [command = '', ...rest] = positionals
  if (command === 'list') return list()
  if (command === 'keys' && rest[0] === 'list') return listKeys()
  const [table, name, target] =
    command === 'keys' ? [keyCommands, rest[0], rest[1]] : [commands, command, rest[0]]
  if (!name || !Object.hasOwn(table, name)) throw new AdministrationError(USAGE)
  return table[name]!(required(target))
}

conclude(main())
