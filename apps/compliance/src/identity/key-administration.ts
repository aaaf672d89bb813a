import type { ClientBase } from 'pg'
import { apiKeyHash, newApiKey } from '#libs/auth'
import { AdministrationError, type Operator, recordAct } from './administration.js'

/** Keys that never end are found in old backups. */
const LONGEST_SECONDS = 366 * 86_400

interface NewKey {
  clientId: string
  scopes: string[]
  validSeconds: number
}

async function insertKey(database: ClientBase, { clientId, scopes, validSeconds }: NewKey) {
  const { id, text } = newApiKey()
  await database.query(
    `INSERT INTO identity.api_key (id, client_id, secret_sha256, scopes, expires_at)
     VALUES ($1, $2, $3, $4, now() + make_interval(secs => $5))`,
    [id, clientId, apiKeyHash(text), scopes, validSeconds],
  )
  return { id, text }
}

/** Gives a client a key with some of its scopes. The text is returned once and kept nowhere. */
export async function addApiKey(database: ClientBase, operator: Operator, key: NewKey): Promise<string> {
  if (key.validSeconds < 60 || key.validSeconds > LONGEST_SECONDS)
    throw new AdministrationError('A key is valid for a minute at least and a year at most')
  const { rows } = await database.query<{ scopes: string[] }>(
    'SELECT scopes FROM identity.client WHERE client_id = $1 AND revoked_at IS NULL',
    [key.clientId],
  )
  if (!rows[0]) throw new AdministrationError(`There is no client ${key.clientId}`)
  const missing = key.scopes.filter((scope) => !rows[0]!.scopes.includes(scope))
  if (missing.length > 0)
    throw new AdministrationError(`The client may not have the scope ${missing.join(' ')}`)
  const { id, text } = await insertKey(database, key)
  const details = { client_id: key.clientId, scope: key.scopes.join(' ') }
  await recordAct(database, operator, 'API_KEY_ADDED', { type: 'api-key', id }, details)
  return text
}

interface Row {
  client_id: string
  scopes: string[]
  valid: number
}

/** A new key with what the old one had; the old one ends after `overlapSeconds`. */
export async function rotateApiKey(
  database: ClientBase,
  operator: Operator,
  id: string,
  overlapSeconds: number,
): Promise<string> {
  const { rows } = await database.query<Row>(
    `SELECT client_id, scopes, extract(epoch FROM expires_at - created_at)::float8 AS valid FROM identity.api_key
     WHERE id = $1 AND revoked_at IS NULL AND expires_at > now() FOR UPDATE`,
    [id],
  )
  const [old] = rows
  if (!old) throw new AdministrationError(`There is no valid key ${id}`)
  await database.query(
    'UPDATE identity.api_key SET expires_at = least(expires_at, now() + make_interval(secs => $2)) WHERE id = $1',
    [id, overlapSeconds],
  )
  const key = { clientId: old.client_id, scopes: old.scopes, validSeconds: old.valid }
  const { id: successor, text } = await insertKey(database, key)
  const details = { client_id: old.client_id, successor, overlap_seconds: overlapSeconds }
  await recordAct(database, operator, 'API_KEY_ROTATED', { type: 'api-key', id }, details)
  return text
}

export async function revokeApiKey(database: ClientBase, operator: Operator, id: string): Promise<void> {
  const { rowCount } = await database.query(
    'UPDATE identity.api_key SET revoked_at = now() WHERE id = $1 AND revoked_at IS NULL',
    [id],
  )
  if (rowCount === 0) throw new AdministrationError(`There is no key ${id}, or it is revoked already`)
  await recordAct(database, operator, 'API_KEY_REVOKED', { type: 'api-key', id })
}
