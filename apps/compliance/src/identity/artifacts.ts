import { createHash } from 'node:crypto'
import type pg from 'pg'
import { type DataKey, openField, sealField } from '#libs/crypto'
import { inTransaction } from '#libs/platform'

/** What the authorization server keeps for a while: sessions, grants, codes, interactions, used assertions. */
export interface Artifact {
  [member: string]: unknown
  uid?: string
  grantId?: string
}

const hashOf = (id: string): Buffer => createHash('sha256').update(id).digest()

interface Row {
  id_sha256: Buffer
  sealed: Buffer
  consumed_at: Date | null
}

/**
 * One kind of artifact. Ids are kept as hashes and contents sealed, so that who reads the table can neither take
 * over a session nor redeem a code.
 */
export class Artifacts {
  constructor(
    private readonly model: string,
    private readonly pool: pg.Pool,
    private readonly key: DataKey,
  ) {}

  async put(id: string, artifact: Artifact, expiresInSeconds: number): Promise<void> {
    await this.write(
      id,
      artifact,
      expiresInSeconds,
      'DO UPDATE SET sealed = EXCLUDED.sealed, expires_at = EXCLUDED.expires_at, uid_sha256 = EXCLUDED.uid_sha256, grant_sha256 = EXCLUDED.grant_sha256',
    )
  }

  /** Puts what must not be there yet; false where it is, or was and has not been collected. */
  async putOnce(id: string, artifact: Artifact, expiresInSeconds: number): Promise<boolean> {
    return (await this.write(id, artifact, expiresInSeconds, 'DO NOTHING')) === 1
  }

  async get(id: string): Promise<Artifact | undefined> {
    return this.read('id_sha256', hashOf(id), id)
  }

  async getByUid(uid: string): Promise<Artifact | undefined> {
    return this.read('uid_sha256', hashOf(uid))
  }

  /** Marks as used; false where somebody else was first. */
  async consume(id: string): Promise<boolean> {
    const { rowCount } = await this.pool.query(
      `UPDATE identity.artifact SET consumed_at = now()
       WHERE model = $1 AND id_sha256 = $2 AND consumed_at IS NULL`,
      [this.model, hashOf(id)],
    )
    return rowCount === 1
  }

  async remove(id: string): Promise<void> {
    await this.pool.query('DELETE FROM identity.artifact WHERE model = $1 AND id_sha256 = $2', [
      this.model,
      hashOf(id),
    ])
  }

  /** Removes and returns, for one caller only. */
  async take(id: string): Promise<Artifact | undefined> {
    return inTransaction(this.pool, async (client) => {
      const { rows } = await client.query<Row>(
        `DELETE FROM identity.artifact WHERE model = $1 AND id_sha256 = $2 AND expires_at > now()
         RETURNING id_sha256, sealed, consumed_at`,
        [this.model, hashOf(id)],
      )
      return rows[0] && this.open(rows[0], id)
    })
  }

  async removeByGrant(grantId: string): Promise<void> {
    await this.pool.query('DELETE FROM identity.artifact WHERE model = $1 AND grant_sha256 = $2', [
      this.model,
      hashOf(grantId),
    ])
  }

  private async write(id: string, artifact: Artifact, seconds: number, onConflict: string): Promise<number> {
    const { jti: _id, ...content } = artifact
    const hash = hashOf(id)
    const sealed = sealField(this.key, this.place(hash), Buffer.from(JSON.stringify(content)))
    const { rowCount } = await this.pool.query(
      `INSERT INTO identity.artifact (model, id_sha256, sealed, uid_sha256, grant_sha256, expires_at)
       VALUES ($1, $2, $3, $4, $5, now() + make_interval(secs => $6))
       ON CONFLICT (model, id_sha256) ${onConflict}`,
      [
        this.model,
        hash,
        sealed,
        artifact.uid ? hashOf(artifact.uid) : null,
        artifact.grantId ? hashOf(artifact.grantId) : null,
        Math.max(1, seconds),
      ],
    )
    return rowCount ?? 0
  }

  private async read(column: 'id_sha256' | 'uid_sha256', hash: Buffer, id?: string) {
    const { rows } = await this.pool.query<Row>(
      `SELECT id_sha256, sealed, consumed_at FROM identity.artifact
       WHERE model = $1 AND ${column} = $2 AND expires_at > now()`,
      [this.model, hash],
    )
    return rows[0] && this.open(rows[0], id)
  }

  private open({ id_sha256, sealed, consumed_at }: Row, id?: string): Artifact {
    const content = JSON.parse(
      openField(this.key, this.place(id_sha256), sealed).toString('utf8'),
    ) as Artifact
    return {
      ...content,
      ...(id ? { jti: id } : {}),
      ...(consumed_at ? { consumed: Math.floor(consumed_at.getTime() / 1000) } : {}),
    }
  }

  private place(hash: Buffer) {
    return {
      tenant: '',
      table: `identity.artifact ${this.model}`,
      column: 'sealed',
      row: hash.toString('hex'),
    }
  }
}

/** Deletes what has expired. */
export async function collectArtifacts(pool: pg.Pool): Promise<void> {
  await pool.query('DELETE FROM identity.artifact WHERE expires_at < now()')
}
