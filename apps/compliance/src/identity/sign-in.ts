import type pg from 'pg'
import { type AuditEntry, appendAudit } from '#libs/audit'
import { type DataKey, openField, sealField } from '#libs/crypto'
import { correlation, inTransaction } from '#libs/platform'
import type { Artifacts } from './artifacts.js'
import type { SignInAttempts } from './attempts.js'
import { hashPassword, isOutdated, passwordMatches } from './passwords.js'
import { findPerson, findPersonByEmail, normalEmail, type Person } from './people.js'
import { isRecoveryCode, newRecoveryCodes, newSecret, recoveryHash, stepOf } from './second-factor.js'

/** Where somebody is on their way in; kept on our side, under the id of their interaction. */
export type Step =
  | { at: 'code'; personId: string; email: string }
  | { at: 'enrol'; personId: string; email: string; secret: string }
  | { at: 'recovery'; personId: string; email: string }

/** What comes next: the same question again, the next step, or in. */
export type Outcome =
  | { is: 'refused' }
  | { is: 'next'; step: Step; recoveryCodes?: string[] }
  | { is: 'in'; personId: string; factors: string[] }

export interface SignInSettings {
  pool: pg.Pool
  /** Seals second-factor secrets. */
  dataKey: DataKey
  attempts: SignInAttempts
  steps: Artifacts
  /** Whether people without a second factor must set one up now. */
  secondFactor: 'required' | 'optional'
}

const STEP_LIFETIME_SECONDS = 600

const placeOf = (personId: string) => ({
  tenant: '',
  table: 'identity.person',
  column: 'totp_sealed',
  row: personId,
})

/** Signing in: password, then second factor. Every outcome is in the trail before anybody hears of it. */
export class SignIn {
  constructor(private readonly settings: SignInSettings) {}

  step(interactionId: string): Promise<Step | undefined> {
    return this.settings.steps.get(interactionId) as Promise<Step | undefined>
  }

  /** One answer for a wrong password, an unknown address, a disabled account and a locked one, after the same work. */
  async password(
    interactionId: string,
    { email, password, enrol }: { email: string; password: string; enrol: boolean },
    address: string,
  ): Promise<Outcome> {
    const { pool, attempts, secondFactor } = this.settings
    const account = normalEmail(email)
    const { allowed, locked, flooding } = await attempts.begin(account, address)
    // An address that floods knows that it does: it is not worth a slow hash, nor an entry for each try.
    if (flooding) return { is: 'refused' }
    const person = await findPersonByEmail(pool, account)
    const matches = await passwordMatches(person?.passwordHash, password)
    if (!allowed || !matches) return this.refuse(person, address, 'password', { allowed, locked })
    if (isOutdated(person!.passwordHash)) await this.rehash(person!, password)
    const who = { personId: person!.id, email: account }
    if (person!.totpSealed) return this.proceed(interactionId, { at: 'code', ...who })
    if (secondFactor === 'required' || enrol)
      return this.proceed(interactionId, { at: 'enrol', ...who, secret: newSecret().toString('hex') })
    return this.enter(person!, account, address, ['pwd'])
  }

  /** The code of an authenticator app, or one of the recovery codes. */
  async code(
    interactionId: string,
    step: Step & { at: 'code' },
    code: string,
    address: string,
  ): Promise<Outcome> {
    const { allowed, locked, flooding } = await this.settings.attempts.begin(step.email, address)
    if (flooding) return { is: 'refused' }
    const person = await findPerson(this.settings.pool, step.personId)
    const factor = allowed && person ? await this.useCode(person, code) : undefined
    if (!factor) return this.refuse(person, address, 'second factor', { allowed, locked })
    await this.settings.steps.remove(interactionId)
    return this.enter(person!, step.email, address, ['pwd', factor, 'mfa'])
  }

  /** The first code proves that the app has the secret: only then is it kept, and recovery codes are shown, once. */
  async enrol(interactionId: string, step: Step & { at: 'enrol' }, code: string): Promise<Outcome> {
    const secret = Buffer.from(step.secret, 'hex')
    const used = stepOf(secret, code, Date.now(), 0)
    const person = await findPerson(this.settings.pool, step.personId)
    if (used === undefined || !person || person.totpSealed) return { is: 'refused' }
    const recoveryCodes = newRecoveryCodes()
    await inTransaction(this.settings.pool, async (client) => {
      const sealed = sealField(this.settings.dataKey, placeOf(person.id), secret)
      await client.query('UPDATE identity.person SET totp_sealed = $2, totp_step = $3 WHERE id = $1', [
        person.id,
        sealed,
        used,
      ])
      await client.query('DELETE FROM identity.recovery_code WHERE person_id = $1', [person.id])
      await client.query(
        'INSERT INTO identity.recovery_code (person_id, code_sha256) SELECT $1, unnest($2::bytea[])',
        [person.id, recoveryCodes.map(recoveryHash)],
      )
      await this.record(client, person, 'SECOND_FACTOR_ENROLLED', 'success')
    })
    const { personId, email } = step
    return { ...(await this.proceed(interactionId, { at: 'recovery', personId, email })), recoveryCodes }
  }

  /** The recovery codes have been written down. */
  async recovered(interactionId: string, step: Step & { at: 'recovery' }, address: string): Promise<Outcome> {
    const person = await findPerson(this.settings.pool, step.personId)
    if (!person || !(await this.settings.steps.take(interactionId))) return { is: 'refused' }
    return this.enter(person, step.email, address, ['pwd', 'otp', 'mfa'])
  }

  private async useCode(person: Person, code: string): Promise<'otp' | 'recovery' | undefined> {
    const { pool, dataKey } = this.settings
    if (isRecoveryCode(code)) {
      const { rowCount } = await pool.query(
        'UPDATE identity.recovery_code SET used_at = now() WHERE person_id = $1 AND code_sha256 = $2 AND used_at IS NULL',
        [person.id, recoveryHash(code)],
      )
      return rowCount === 1 ? 'recovery' : undefined
    }
    if (!person.totpSealed) return undefined
    const step = stepOf(openField(dataKey, placeOf(person.id), person.totpSealed), code, Date.now(), 0)
    // The database decides which of two that use the same code at once was first.
    const { rowCount } = await pool.query(
      'UPDATE identity.person SET totp_step = $2 WHERE id = $1 AND totp_step < $2',
      [person.id, step ?? 0],
    )
    return step !== undefined && rowCount === 1 ? 'otp' : undefined
  }

  private async proceed(interactionId: string, step: Step): Promise<Outcome & { is: 'next' }> {
    await this.settings.steps.put(interactionId, step, STEP_LIFETIME_SECONDS)
    return { is: 'next', step }
  }

  private async enter(person: Person, account: string, address: string, factors: string[]): Promise<Outcome> {
    const origin = this.settings.attempts.originOf(address)
    await inTransaction(this.settings.pool, (client) =>
      this.record(client, person, 'LOGIN_SUCCEEDED', 'success', { factors, origin }),
    )
    await this.settings.attempts.succeed(account, address)
    return { is: 'in', personId: person.id, factors }
  }

  private async refuse(
    person: Person | undefined,
    address: string,
    factor: string,
    { allowed, locked }: { allowed: boolean; locked: boolean },
  ): Promise<Outcome> {
    const details = { factor, origin: this.settings.attempts.originOf(address) }
    await inTransaction(this.settings.pool, async (client) => {
      await this.record(client, person, 'LOGIN_FAILED', 'denied', {
        ...details,
        ...(allowed ? {} : { locked: true }),
      })
      if (locked) await this.record(client, person, 'LOCKED_OUT', 'denied', details)
    })
    return { is: 'refused' }
  }

  /** An address that nobody has is not written down: it may be a password typed into the wrong field. */
  private async record(
    client: pg.ClientBase,
    person: Person | undefined,
    action: string,
    outcome: AuditEntry['outcome'],
    details?: AuditEntry['details'],
  ): Promise<void> {
    await appendAudit(client, {
      tenant: person?.tenant ?? 'default',
      service: 'compliance',
      actor: { type: 'user', id: person?.id ?? 'unknown' },
      action,
      outcome,
      correlationId: correlation().correlationId,
      ...(details ? { details } : {}),
    })
  }

  private async rehash(person: Person, password: string): Promise<void> {
    await this.settings.pool.query('UPDATE identity.person SET password_hash = $2 WHERE id = $1', [
      person.id,
      await hashPassword(password),
    ])
  }
}
