import { randomBytes } from 'node:crypto'
import type { ClientBase } from 'pg'
import { type AuditEntry, appendAudit } from '#libs/audit'
import { SCOPES } from '#libs/auth'
import { correlation, newId } from '#libs/platform'
import { addClient, addSecret, type NewClient } from './clients.js'
import { hashPassword } from './passwords.js'
import { addPerson, normalEmail } from './people.js'

/** What an operator asked for that cannot be: there is no such client, or the address is taken. */
export class AdministrationError extends Error {
  override readonly name = 'AdministrationError'
}

/** Who administers: the command that was run, and the account of the machine it was run from. */
export interface Operator {
  command: string
  account: string
}

type Subject = 'client' | 'person' | 'api-key'

/** The entry of an act, in the transaction of the act. */
export async function recordAct(
  database: ClientBase,
  { command, account }: Operator,
  action: string,
  subject: { type: Subject; id: string },
  details: AuditEntry['details'] = {},
): Promise<void> {
  await appendAudit(database, {
    tenant: 'default',
    service: 'compliance',
    actor: { type: 'system', id: command },
    action,
    outcome: 'success',
    subject,
    correlationId: correlation().correlationId,
    details: { ...details, operator: account },
  })
}

/** 32 random bytes: beyond guessing, so that a plain SHA-256 of it may be stored. */
export const newSecret = (): string => randomBytes(32).toString('base64url')

/** Ids of people are UUIDs and names of clients are not: nobody can be taken for the other. */
const CLIENT_ID = /^(?![0-9a-f]{8}-)[A-Za-z0-9_-]{1,64}$/

/** Adds a client, with its entry. */
export async function registerClient(
  database: ClientBase,
  operator: Operator,
  client: NewClient,
): Promise<void> {
  if (!CLIENT_ID.test(client.client_id))
    throw new AdministrationError('A client id is 1 to 64 letters, digits, "_" and "-", and no UUID')
  const unknown = client.scopes.filter((scope) => !SCOPES.has(scope))
  if (unknown.length > 0) throw new AdministrationError(`There is no scope ${unknown.join(' ')}`)
  if (!(await addClient(database, client)))
    throw new AdministrationError(`There is a client ${client.client_id} already`)
  await recordAct(
    database,
    operator,
    'CLIENT_ADDED',
    { type: 'client', id: client.client_id },
    {
      scope: client.scopes.join(' '),
      tenant: client.tenant ?? 'default',
    },
  )
}

/** Gives a client a new secret; the ones it has end after `overlapSeconds`. Returns the new one. */
export async function rotateClientSecret(
  database: ClientBase,
  operator: Operator,
  clientId: string,
  overlapSeconds: number,
): Promise<string> {
  const { rowCount } = await database.query(
    `SELECT FROM identity.client WHERE client_id = $1 AND revoked_at IS NULL AND auth_method = 'client_secret'
     FOR UPDATE`,
    [clientId],
  )
  if (rowCount === 0) throw new AdministrationError(`There is no client ${clientId} that has a secret`)
  await database.query(
    `UPDATE identity.client_secret SET expires_at = now() + make_interval(secs => $2)
     WHERE client_id = $1 AND (expires_at IS NULL OR expires_at > now() + make_interval(secs => $2))`,
    [clientId, overlapSeconds],
  )
  const secret = newSecret()
  await addSecret(database, clientId, secret)
  const details = { overlap_seconds: overlapSeconds }
  await recordAct(database, operator, 'CLIENT_SECRET_ROTATED', { type: 'client', id: clientId }, details)
  return secret
}

/** Ends a client: no new token from now on, its API keys at once, its tokens when they expire. */
export async function revokeClient(
  database: ClientBase,
  operator: Operator,
  clientId: string,
): Promise<void> {
  const { rowCount } = await database.query(
    'UPDATE identity.client SET revoked_at = now() WHERE client_id = $1 AND revoked_at IS NULL',
    [clientId],
  )
  if (rowCount === 0)
    throw new AdministrationError(`There is no client ${clientId}, or it is revoked already`)
  await recordAct(database, operator, 'CLIENT_REVOKED', { type: 'client', id: clientId })
}

interface NewUser {
  name: string
  email: string
  roles: string[]
  tenant?: string
  password: string
}

/** Adds a person, with their entry; returns their id. */
export async function registerPerson(
  database: ClientBase,
  operator: Operator,
  user: NewUser,
): Promise<string> {
  const id = newId()
  const { password, ...rest } = user
  const passwordHash = await hashPassword(password)
  if (!(await addPerson(database, { id, passwordHash, ...rest })))
    throw new AdministrationError('Somebody has this address already')
  const details = { roles: user.roles, tenant: user.tenant ?? 'default' }
  await recordAct(database, operator, 'USER_ADDED', { type: 'person', id }, details)
  return id
}

/** Changes one person, found by address; throws where there is nobody. */
async function change(
  database: ClientBase,
  email: string,
  assignment: string,
  values: unknown[],
): Promise<string> {
  const { rows } = await database.query<{ id: string }>(
    `UPDATE identity.person SET ${assignment} WHERE email = $1 RETURNING id`,
    [normalEmail(email), ...values],
  )
  if (!rows[0]) throw new AdministrationError('Nobody has this address')
  return rows[0].id
}

/** Nobody signs in, and no code is redeemed, from now on; tokens end when they expire. */
export async function disablePerson(database: ClientBase, operator: Operator, email: string): Promise<void> {
  const id = await change(database, email, 'disabled_at = coalesce(disabled_at, now())', [])
  await recordAct(database, operator, 'USER_DISABLED', { type: 'person', id })
}

export async function resetPassword(
  database: ClientBase,
  operator: Operator,
  email: string,
  password: string,
): Promise<void> {
  const id = await change(database, email, 'password_hash = $2', [await hashPassword(password)])
  await recordAct(database, operator, 'USER_PASSWORD_RESET', { type: 'person', id })
}

/** Removes the second factor and its recovery codes: for somebody who lost both. */
export async function resetSecondFactor(
  database: ClientBase,
  operator: Operator,
  email: string,
): Promise<void> {
  const id = await change(database, email, 'totp_sealed = NULL, totp_step = 0', [])
  await database.query('DELETE FROM identity.recovery_code WHERE person_id = $1', [id])
  await recordAct(database, operator, 'USER_SECOND_FACTOR_RESET', { type: 'person', id })
}
