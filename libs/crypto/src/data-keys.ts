import type { ClientBase } from 'pg'
import { newId } from '#libs/platform'
import type { DataKey } from './field.js'
import type { KeyProvider } from './provider.js'

/** What a data key protects: everything of one subject (by its keyed hash) for one purpose. */
export interface KeyScope {
  tenant: string
  purpose: string
  subject: string
}

/** The key was destroyed on purpose: what it sealed cannot be read any more by anybody. */
export class KeyDestroyedError extends Error {
  override readonly name = 'KeyDestroyedError'
  constructor() {
    super('The data key was destroyed')
  }
}

interface Row {
  id: string
  wrapped: Buffer | null
}

/**
 * Held together by all who seal something for a subject, and alone by an erasure (keys.destroy_subject): what was
 * sealed under a key that existed a moment ago cannot be committed after the erasure.
 */
const SUBJECT_LOCK = `SELECT pg_advisory_xact_lock_shared(hashtextextended('data-key ' || $1 || ' ' || $2, 0))`

const contextOf = (id: string, { tenant, purpose, subject }: KeyScope): string =>
  JSON.stringify(['data-key', id, tenant, purpose, subject])

async function find(client: ClientBase, { tenant, purpose, subject }: KeyScope): Promise<Row | undefined> {
  const { rows } = await client.query<Row>(
    'SELECT id, wrapped FROM keys.data_key WHERE tenant = $1 AND purpose = $2 AND subject = $3',
    [tenant, purpose, subject],
  )
  return rows[0]
}

async function unwrap(provider: KeyProvider, scope: KeyScope, row: Row | undefined): Promise<DataKey> {
  if (!row?.wrapped) throw new KeyDestroyedError()
  return { id: row.id, key: await provider.unwrap(row.wrapped, contextOf(row.id, scope)) }
}

/**
 * The data key of a scope, made on first use, in the caller's transaction. Rejects with KeyDestroyedError after
 * an erasure.
 */
export async function dataKeyFor(
  client: ClientBase,
  provider: KeyProvider,
  scope: KeyScope,
): Promise<DataKey> {
  await client.query(SUBJECT_LOCK, [scope.tenant, scope.subject])
  const known = await find(client, scope)
  if (known) return unwrap(provider, scope, known)
  const id = newId()
  const { plaintext, wrapped } = await provider.generateDataKey(contextOf(id, scope))
  const inserted = await client.query<Row>(
    `INSERT INTO keys.data_key (id, tenant, purpose, subject, wrapped) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (tenant, purpose, subject) DO NOTHING RETURNING id`,
    [id, scope.tenant, scope.purpose, scope.subject, wrapped],
  )
  if (inserted.rowCount === 1) return { id, key: plaintext }
  return existingDataKey(client, provider, scope)
}

/** The data key that a scope has already; rejects with KeyDestroyedError when there is none (any more). */
export async function existingDataKey(
  client: ClientBase,
  provider: KeyProvider,
  scope: KeyScope,
): Promise<DataKey> {
  return unwrap(provider, scope, await find(client, scope))
}

/**
 * The data key of a tenant for one purpose, made on first use. It is of no person, so no erasure can meet it: known
 * and cached, it costs one query.
 */
export async function purposeKey(
  client: ClientBase,
  provider: KeyProvider,
  { tenant, purpose }: Omit<KeyScope, 'subject'>,
): Promise<DataKey> {
  const scope = { tenant, purpose, subject: tenant }
  const known = await find(client, scope)
  return known ? unwrap(provider, scope, known) : dataKeyFor(client, provider, scope)
}
