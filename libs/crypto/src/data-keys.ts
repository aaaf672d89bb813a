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
 * Destroys the data keys of a subject for every purpose, in the caller's transaction: what they sealed cannot be
 * read once it commits (write-ahead log and backups hold the wrapped key until they expire). Resolves to how many
 * there were.
 */
export async function destroyDataKeys(client: ClientBase, tenant: string, subject: string): Promise<number> {
  const { rowCount } = await client.query(
    `UPDATE keys.data_key SET wrapped = NULL, destroyed_at = now()
     WHERE tenant = $1 AND subject = $2 AND wrapped IS NOT NULL`,
    [tenant, subject],
  )
  return rowCount ?? 0
}
