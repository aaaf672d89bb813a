import { createHmac } from 'node:crypto'
import type pg from 'pg'
import { inTransaction } from '#libs/platform'
import { ACCOUNT_LOCK_OUT, ADDRESS_LOCK_OUT, type Attempts, attempt, type LockOut } from './lock-out.js'

interface Row {
  failures: number
  last_at: Date
  locked_until: Date | null
}

/** Whether a try is allowed; `locked` where this one, should it fail, closes the account or the address for a while. */
export interface Try {
  allowed: boolean
  locked: boolean
  /** The address has used its tries up, whoever it asks for: nothing is looked at, nothing is written. */
  flooding: boolean
}

/** Counts sign-ins that fail, by account (whether it exists or not) and by address; what it keeps names neither. */
export class SignInAttempts {
  constructor(
    private readonly pool: pg.Pool,
    private readonly key: Uint8Array,
  ) {}

  /** Keyed hash of where somebody came from: in the trail it ties entries together without naming the address. */
  originOf = (address: string): string => this.hash('address', address).toString('hex').slice(0, 16)

  /**
   * Counts a try as failed before its outcome is known, under a row lock: a thousand guesses at once are counted as a
   * thousand. `succeed` takes it back.
   */
  async begin(account: string, address: string): Promise<Try> {
    return inTransaction(this.pool, async (client) => {
      const ofAddress = await this.count(client, this.hash('address', address), ADDRESS_LOCK_OUT)
      if (!ofAddress.allowed) return { allowed: false, locked: false, flooding: true }
      const ofAccount = await this.count(client, this.hash('account', account), ACCOUNT_LOCK_OUT)
      return {
        allowed: ofAccount.allowed,
        locked: ofAddress.locked || ofAccount.locked,
        flooding: false,
      }
    })
  }

  async succeed(account: string, address: string): Promise<void> {
    await this.pool.query('DELETE FROM identity.sign_in_attempt WHERE key = $1', [
      this.hash('account', account),
    ])
    await this.pool.query(
      'UPDATE identity.sign_in_attempt SET failures = greatest(failures - 1, 0), locked_until = NULL WHERE key = $1',
      [this.hash('address', address)],
    )
  }

  private async count(client: pg.ClientBase, key: Buffer, rules: LockOut) {
    await client.query(
      `INSERT INTO identity.sign_in_attempt (key, failures, last_at) VALUES ($1, 0, to_timestamp(0))
       ON CONFLICT (key) DO NOTHING`,
      [key],
    )
    const { rows } = await client.query<Row>(
      'SELECT failures, last_at, locked_until FROM identity.sign_in_attempt WHERE key = $1 FOR UPDATE',
      [key],
    )
    const before = rows[0] && attemptsOf(rows[0])
    const { allowed, after } = attempt(before, Date.now(), rules)
    await client.query(
      `UPDATE identity.sign_in_attempt SET failures = $2, last_at = $3, locked_until = $4 WHERE key = $1`,
      [key, after.failures, new Date(after.lastAt), after.lockedUntil ? new Date(after.lockedUntil) : null],
    )
    return { allowed, locked: allowed && after.lockedUntil > 0 }
  }

  private hash(kind: string, value: string): Buffer {
    return createHmac('sha256', this.key).update(`${kind}\0${value}`).digest()
  }
}

const attemptsOf = ({ failures, last_at, locked_until }: Row): Attempts => ({
  failures,
  lastAt: last_at.getTime(),
  lockedUntil: locked_until?.getTime() ?? 0,
})

/** Deletes what has been quiet for longer than it counts. */
export async function collectAttempts(pool: pg.Pool): Promise<void> {
  await pool.query('DELETE FROM identity.sign_in_attempt WHERE last_at < now() - make_interval(secs => $1)', [
    ACCOUNT_LOCK_OUT.forgetMs / 1000,
  ])
}
