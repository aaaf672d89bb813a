import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import {
  AdministrationError,
  newSecret,
  registerClient,
  revokeClient,
  rotateClientSecret,
} from '../../apps/compliance/src/identity/administration.js'
import {
  addApiKey,
  revokeApiKey,
  rotateApiKey,
} from '../../apps/compliance/src/identity/key-administration.js'
import { type Session, seconds, tableOf } from './session.js'

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

const OPTIONS = {
  name: { type: 'string' },
  scopes: { type: 'string', default: '' },
  tenant: { type: 'string', default: 'default' },
  jwks: { type: 'string' },
  'redirect-uri': { type: 'string', multiple: true, default: [] as string[] },
  public: { type: 'boolean', default: false },
  native: { type: 'boolean', default: false },
  'first-party': { type: 'boolean', default: false },
  'certificate-bound': { type: 'boolean', default: false },
  overlap: { type: 'string', default: '24h' },
  expires: { type: 'string', default: '90d' },
} as const

const read = (args: string[]) => parseArgs({ args, allowPositionals: true, options: OPTIONS })
type Values = ReturnType<typeof read>['values']

/** One act on one client or key, with its options. */
type Act = (target: string, values: Values, session: Session) => Promise<void>

const scopesIn = ({ scopes }: Values): string[] => scopes.split(' ').filter(Boolean)

function publicKeys(path: string) {
  const { keys } = JSON.parse(readFileSync(path, 'utf8')) as { keys?: Record<string, string>[] }
  if (!keys?.length) throw new AdministrationError(`${path} is no JWK Set (RFC 7517 5)`)
  if (keys.some((key) => 'd' in key || key.kty === 'oct'))
    throw new AdministrationError(`${path} holds a private key: give the public part only`)
  return { keys }
}

const add: Act = async (id, values, { administer, print }) => {
  const scopes = scopesIn(values)
  if (scopes.length === 0) throw new AdministrationError('--scopes says what the client may do')
  const secret = values.jwks || values.public ? undefined : newSecret()
  const client = {
    client_id: id,
    name: values.name ?? id,
    scopes,
    tenant: values.tenant,
    ...(secret ? { client_secret: secret } : {}),
    ...(values.jwks ? { jwks: publicKeys(values.jwks) } : {}),
    redirect_uris: values['redirect-uri'],
    application_type: values.native ? ('native' as const) : ('web' as const),
    first_party: values['first-party'],
    certificate_bound: values['certificate-bound'],
  }
  await administer((database, operator) => registerClient(database, operator, client))
  print(`client_id      ${id}`)
  if (secret) print(`client_secret  ${secret}`)
}

const LIST = `
  SELECT client_id, tenant, auth_method AS method, array_to_string(scopes, ' ') AS scopes,
    (SELECT count(*)::int FROM identity.client_secret s WHERE s.client_id = c.client_id
      AND (s.expires_at IS NULL OR s.expires_at > now())) AS secrets,
    coalesce(to_char(revoked_at, 'YYYY-MM-DD'), '') AS revoked
  FROM identity.client c ORDER BY client_id`
const LIST_KEYS = `
  SELECT id, client_id, array_to_string(scopes, ' ') AS scopes, to_char(expires_at, 'YYYY-MM-DD HH24:MI') AS expires,
    coalesce(to_char(last_used_at, 'YYYY-MM-DD HH24:MI'), 'never') AS last_used,
    coalesce(to_char(revoked_at, 'YYYY-MM-DD'), '') AS revoked
  FROM identity.api_key ORDER BY client_id, created_at`

async function list(sql: string, { administer, print }: Session): Promise<void> {
  const { rows } = await administer((database) => database.query<Record<string, unknown>>(sql))
  for (const line of tableOf(rows)) print(line)
}

const clientActs: Record<string, Act> = {
  add,
  rotate: async (id, { overlap }, { administer, print }) => {
    const wait = seconds(overlap)
    const secret = await administer((database, operator) => rotateClientSecret(database, operator, id, wait))
    print(`client_secret  ${secret}`)
  },
  revoke: (id, _values, { administer }) =>
    administer((database, operator) => revokeClient(database, operator, id)),
}

const keyActs: Record<string, Act> = {
  add: async (clientId, values, { administer, print }) => {
    const key = { clientId, scopes: scopesIn(values), validSeconds: seconds(values.expires) }
    print(await administer((database, operator) => addApiKey(database, operator, key)))
  },
  rotate: async (id, { overlap }, { administer, print }) => {
    const wait = seconds(overlap)
    print(await administer((database, operator) => rotateApiKey(database, operator, id, wait)))
  },
  revoke: (id, _values, { administer }) =>
    administer((database, operator) => revokeApiKey(database, operator, id)),
}

/** `npm run clients`: what is in the arguments after it. */
export async function clients(args: string[], session: Session): Promise<void> {
  const { values, positionals } = read(args)
  const ofKeys = positionals[0] === 'keys'
  const [name = '', target] = ofKeys ? positionals.slice(1) : positionals
  if (name === 'list') return list(ofKeys ? LIST_KEYS : LIST, session)
  const acts = ofKeys ? keyActs : clientActs
  if (!target || !Object.hasOwn(acts, name)) throw new AdministrationError(USAGE)
  return acts[name]!(target, values, session)
}
