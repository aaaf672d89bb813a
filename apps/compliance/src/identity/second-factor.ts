import { createHash, randomBytes, randomInt } from 'node:crypto'
import { Secret, TOTP } from 'otpauth'

const PERIOD_SECONDS = 30
/** Steps of clock difference that are accepted, either way (RFC 6238 5.2 recommends one). */
const WINDOW = 1
const SECRET_BYTES = 20

const totp = (secret: Uint8Array, label = 'vigil') =>
  new TOTP({
    issuer: 'Vigil',
    label,
    algorithm: 'SHA1',
    digits: 6,
    period: PERIOD_SECONDS,
    secret: new Secret({ buffer: Uint8Array.from(secret).buffer }),
  })

/** 160 random bits (RFC 4226 4, R6). */
export const newSecret = (): Buffer => randomBytes(SECRET_BYTES)

/** What an authenticator app needs: the secret to type, and the same as an `otpauth:` URI. */
export function enrolment(secret: Uint8Array, label: string): { secret: string; uri: string } {
  const generator = totp(secret, label)
  return { secret: generator.secret.base32, uri: generator.toString() }
}

/**
 * The time step whose code was given (RFC 6238), or undefined: it must be later than the last one used, so that a
 * code that was seen over a shoulder is worth nothing.
 */
export function stepOf(secret: Uint8Array, code: string, now: number, lastStep: number): number | undefined {
  const token = code.replaceAll(/\s/g, '')
  if (!/^\d{6}$/.test(token)) return undefined
  const delta = totp(secret).validate({ token, timestamp: now, window: WINDOW })
  if (delta === null) return undefined
  const step = Math.floor(now / 1000 / PERIOD_SECONDS) + delta
  return step > lastStep ? step : undefined
}

const RECOVERY_CODES = 10
const ALPHABET = 'abcdefghjkmnpqrstuvwxyz23456789'

const letters = (): string => Array.from({ length: 16 }, () => ALPHABET[randomInt(ALPHABET.length)]).join('')

/** Ten codes of 16 letters (about 79 bits each, so a fast hash is enough), in groups of four. */
export const newRecoveryCodes = (): string[] =>
  Array.from({ length: RECOVERY_CODES }, () => letters().replaceAll(/(.{4})(?=.)/g, '$1-'))

export const isRecoveryCode = (text: string): boolean => /^[a-z2-9]{16}$/.test(plain(text))

const plain = (code: string): string => code.toLowerCase().replaceAll(/[\s-]/g, '')

export const recoveryHash = (code: string): Buffer => createHash('sha256').update(plain(code)).digest()
