import type { webcrypto } from 'node:crypto'
import { exportJWK, generateKeyPair, importJWK, type JWK } from 'jose'
import type pg from 'pg'
import type { KeyProvider } from '#libs/crypto'
import { inTransaction, newId } from '#libs/platform'

/** The key that signs tokens now. */
export interface SigningKey {
  kid: string
  privateKey: webcrypto.CryptoKey
}

interface Row {
  kid: string
  public_jwk: JWK
  sealed_private_key: Buffer
}

const CREATION_LOCK = 0x6b_65_79
const contextOf = (kid: string): string => `token-signing-key ${kid}`

async function create(client: pg.ClientBase, keys: KeyProvider): Promise<void> {
  const kid = newId()
  const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true })
  const sealed = await keys.wrap(Buffer.from(JSON.stringify(await exportJWK(privateKey))), contextOf(kid))
  const publicJwk = { ...(await exportJWK(publicKey)), kid, alg: 'ES256', use: 'sig' }
  await client.query(
    'INSERT INTO identity.signing_key (kid, alg, public_jwk, sealed_private_key) VALUES ($1, $2, $3, $4)',
    [kid, 'ES256', publicJwk, sealed],
  )
}

async function newest(client: pg.ClientBase): Promise<Row | undefined> {
  const { rows } = await client.query<Row>(
    `SELECT kid, public_jwk, sealed_private_key FROM identity.signing_key
     WHERE retired_at IS NULL ORDER BY created_at DESC LIMIT 1`,
  )
  return rows[0]
}

/** The newest signing key, made on first use; replicas that start together make one. */
export async function currentSigningKey(pool: pg.Pool, keys: KeyProvider): Promise<SigningKey> {
  const row = await inTransaction(pool, async (client) => {
    await client.query('SELECT pg_advisory_xact_lock($1)', [CREATION_LOCK])
    if (!(await newest(client))) await create(client, keys)
    return (await newest(client))!
  })
  const jwk = JSON.parse(
    (await keys.unwrap(row.sealed_private_key, contextOf(row.kid))).toString('utf8'),
  ) as JWK
  return { kid: row.kid, privateKey: (await importJWK(jwk, 'ES256')) as webcrypto.CryptoKey }
}

/** Public keys of all that have not been retired: RFC 7517 JWK Set. */
export async function publicKeys(pool: pg.Pool): Promise<{ keys: JWK[] }> {
  const { rows } = await pool.query<Row>(
    'SELECT public_jwk FROM identity.signing_key WHERE retired_at IS NULL ORDER BY created_at DESC',
  )
  return { keys: rows.map((row) => row.public_jwk) }
}
