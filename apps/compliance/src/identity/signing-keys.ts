import { exportJWK, generateKeyPair, type JWK } from 'jose'
import type pg from 'pg'
import { appendAudit } from '#libs/audit'
import type { KeyProvider } from '#libs/crypto'
import { correlation, inTransaction, newId } from '#libs/platform'
import { type KeyTurn, turnsAt } from './key-turns.js'

/** The keys of this moment, newest first in `signing`: the first signs, all of `published` verify. */
export interface SigningKeys {
  kid: string
  signing: JWK[]
  published: { keys: JWK[] }
}

interface Row extends KeyTurn {
  publicJwk: JWK
  sealed: Buffer
}

/** How keys take turns. */
export interface Turnover {
  /** A key older than this gets a successor. */
  maxAgeDays: number
  /** How long a new key is published before it signs: longer than anybody keeps a copy of the key set. */
  leadSeconds: number
  /** How long a key verifies after its last signature: the lifetime of a token, and the skew of clocks. */
  lingerSeconds: number
}

const CREATION_LOCK = 0x6b_65_79
const contextOf = (kid: string): string => `token-signing-key ${kid}`

async function create(client: pg.ClientBase, keys: KeyProvider, leadSeconds: number): Promise<string> {
  const kid = newId()
  const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true })
  const sealed = await keys.wrap(Buffer.from(JSON.stringify(await exportJWK(privateKey))), contextOf(kid))
  const publicJwk = { ...(await exportJWK(publicKey)), kid, alg: 'ES256', use: 'sig' }
  await client.query(
    `INSERT INTO identity.signing_key (kid, alg, public_jwk, sealed_private_key, signs_from)
     VALUES ($1, 'ES256', $2, $3, now() + make_interval(secs => $4))`,
    [kid, publicJwk, sealed, leadSeconds],
  )
  return kid
}

async function readKeys(client: pg.ClientBase): Promise<Row[]> {
  const { rows } = await client.query<Row>(
    `SELECT kid, signs_from AS "signsFrom", public_jwk AS "publicJwk", sealed_private_key AS sealed
     FROM identity.signing_key WHERE retired_at IS NULL ORDER BY signs_from, created_at`,
  )
  return rows
}

/** Who has a key made or retired, for the trail: a command with the account it was run from, or the service. */
export interface RotationActor {
  id: string
  operator?: string
}

async function record(
  client: pg.ClientBase,
  { id, operator }: RotationActor,
  action: string,
  kid: string,
  details: Record<string, number> = {},
): Promise<void> {
  await appendAudit(client, {
    tenant: 'default',
    service: 'compliance',
    actor: { type: 'system', id },
    action,
    outcome: 'success',
    subject: { type: 'signing-key', id: kid },
    correlationId: correlation().correlationId,
    details: { ...details, ...(operator ? { operator } : {}) },
  })
}

/** Makes the successor of the key that signs now; returns its id. In the caller's transaction, with its entry. */
export async function rotateSigningKey(
  client: pg.ClientBase,
  keys: KeyProvider,
  leadSeconds: number,
  actor: RotationActor,
): Promise<string> {
  await client.query('SELECT pg_advisory_xact_lock($1)', [CREATION_LOCK])
  const kid = await create(client, keys, leadSeconds)
  await record(client, actor, 'SIGNING_KEY_ADDED', kid, { signs_in_seconds: leadSeconds })
  return kid
}

/** Takes a key out of the set, and with it every token it signed; false where there is no such key. */
export async function retireSigningKey(
  client: pg.ClientBase,
  kid: string,
  actor: RotationActor,
): Promise<boolean> {
  const { rowCount } = await client.query(
    'UPDATE identity.signing_key SET retired_at = now() WHERE kid = $1 AND retired_at IS NULL',
    [kid],
  )
  if (rowCount === 1) await record(client, actor, 'SIGNING_KEY_RETIRED', kid)
  return rowCount === 1
}

const SYSTEM: RotationActor = { id: 'compliance' }
const DAY_MS = 86_400_000

/** Makes the first key, and the successor of one that is old; removes those whose last token has expired. */
async function tend(client: pg.ClientBase, keys: KeyProvider, turnover: Turnover): Promise<void> {
  await client.query('SELECT pg_advisory_xact_lock($1)', [CREATION_LOCK])
  const rows = await readKeys(client)
  const newest = rows.at(-1)
  const age = newest ? Date.now() - newest.signsFrom.getTime() : Number.POSITIVE_INFINITY
  if (age > turnover.maxAgeDays * DAY_MS)
    await rotateSigningKey(client, keys, newest ? turnover.leadSeconds : 0, SYSTEM)
  const { finished } = turnsAt(rows, Date.now(), turnover.lingerSeconds * 1000)
  if (finished.length > 0)
    await client.query('DELETE FROM identity.signing_key WHERE kid = ANY($1)', [finished])
}

const FRESH_MS = 2_000

/** The signing keys as the database has them, looked at again every few seconds: replicas turn over together. */
export class KeyChest {
  private readonly opened = new Map<string, JWK>()
  private current?: { at: number; keys: Promise<SigningKeys> }

  constructor(
    private readonly pool: pg.Pool,
    private readonly provider: KeyProvider,
    private readonly turnover: Turnover,
  ) {}

  /** Rejects when a key cannot be opened: a replica with another keyring must not issue tokens. */
  keys(): Promise<SigningKeys> {
    if (this.current && Date.now() - this.current.at < FRESH_MS) return this.current.keys
    const keys = this.load()
    keys.catch(() => {
      if (this.current?.keys === keys) this.current = undefined
    })
    this.current = { at: Date.now(), keys }
    return keys
  }

  /** Due once a minute or so; and before the first token. */
  async tend(): Promise<void> {
    await inTransaction(this.pool, (client) => tend(client, this.provider, this.turnover))
    this.current = undefined
  }

  private async load(): Promise<SigningKeys> {
    const rows = await inTransaction(this.pool, readKeys)
    const { signing, published } = turnsAt(rows, Date.now(), this.turnover.lingerSeconds * 1000)
    if (!signing) throw new Error('There is no token signing key')
    const valid = rows.filter(({ kid }) => published.includes(kid))
    const opened = await Promise.all(valid.map((row) => this.open(row)))
    const first = opened.find(({ kid }) => kid === signing)!
    return {
      kid: signing,
      signing: [first, ...opened.filter((jwk) => jwk !== first)],
      published: { keys: valid.map(({ publicJwk }) => publicJwk).reverse() },
    }
  }

  private async open({ kid, sealed }: Row): Promise<JWK> {
    const known = this.opened.get(kid)
    if (known) return known
    const text = (await this.provider.unwrap(sealed, contextOf(kid))).toString('utf8')
    const jwk = { ...(JSON.parse(text) as JWK), kid, alg: 'ES256', use: 'sig' }
    this.opened.set(kid, jwk)
    return jwk
  }
}
