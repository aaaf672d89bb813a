import { randomBytes } from 'node:crypto'
import type pg from 'pg'
import type { KeyProvider } from './provider.js'

export type Queryable = Pick<pg.Pool | pg.ClientBase, 'query'>

const CONTEXT = 'root-secret'

async function find(database: Queryable): Promise<Buffer | undefined> {
  const { rows } = await database.query<{ wrapped: Buffer }>('SELECT wrapped FROM keys.root')
  return rows[0]?.wrapped
}

/**
 * The root secret that the provider wrapped (keys.root); of services that start together one makes it. `inherited`
 * gives the root of the keyring that came before, or undefined for a fresh one.
 */
export async function rootSecret(
  database: Queryable,
  provider: KeyProvider,
  inherited: () => Uint8Array | undefined,
): Promise<Buffer> {
  const known = await find(database)
  if (known) return provider.unwrap(known, CONTEXT)
  const wrapped = await provider.wrap(inherited() ?? randomBytes(32), CONTEXT)
  await database.query('INSERT INTO keys.root (wrapped) VALUES ($1) ON CONFLICT DO NOTHING', [wrapped])
  return provider.unwrap((await find(database))!, CONTEXT)
}
