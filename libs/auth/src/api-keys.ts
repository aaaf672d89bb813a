import { timingSafeEqual } from 'node:crypto'
import type pg from 'pg'
import { apiKeyHash, apiKeyId } from './api-key.js'
import { Principal } from './principal.js'
import { TokenCache } from './token-cache.js'

/** Looks up who an API key belongs to. */
export interface ApiKeys {
  find(key: string): Promise<Principal | undefined>
}

interface Row {
  client_id: string
  tenant: string
  secret_sha256: Buffer
  scopes: string[]
  expires_at: Date
}

interface Known {
  id: string
  principal: Principal
  expiresAt: number
}

/** A revoked key works for this long at most. */
const REMEMBERED_MS = 15_000
const REMEMBERED = 10_000
const TOUCH_EVERY_MS = 60_000
const NOBODY = Buffer.alloc(32)

/** API keys of the database, remembered for a few seconds; when one was last used is noted on the side. */
export class StoredApiKeys implements ApiKeys {
  private readonly cache = new TokenCache<Known>(REMEMBERED, REMEMBERED_MS)
  private readonly touched = new Map<string, number>()

  constructor(private readonly pool: pg.Pool) {}

  async find(key: string): Promise<Principal | undefined> {
    const now = Date.now()
    const remembered = this.cache.get(key, now)
    const known = remembered ?? (await this.lookUp(key))
    if (!known) return undefined
    // Only what was just looked up: a key in constant use must not put off being asked about.
    if (!remembered) this.cache.put(key, known, now)
    this.touch(known.id, now)
    return known.principal
  }

  private async lookUp(key: string): Promise<Known | undefined> {
    const id = apiKeyId(key)
    if (!id) return undefined
    const { rows } = await this.pool.query<Row>({
      name: 'find-api-key',
      text: 'SELECT * FROM identity.find_api_key($1)',
      values: [id],
    })
    const [row] = rows
    if (!timingSafeEqual(row?.secret_sha256 ?? NOBODY, apiKeyHash(key)) || !row) return undefined
    const { client_id: clientId, tenant, scopes, expires_at } = row
    const principal = new Principal({
      type: 'client',
      issuer: 'api-key',
      subject: clientId,
      clientId,
      tenant,
      scopes,
    })
    return { id, principal, expiresAt: expires_at.getTime() }
  }

  /** Nobody waits for it, and nothing depends on it. */
  private touch(id: string, now: number): void {
    if (now - (this.touched.get(id) ?? 0) < TOUCH_EVERY_MS) return
    if (this.touched.size >= REMEMBERED) this.touched.clear()
    this.touched.set(id, now)
    this.pool.query('SELECT identity.touch_api_key($1)', [id]).catch(() => this.touched.delete(id))
  }
}
