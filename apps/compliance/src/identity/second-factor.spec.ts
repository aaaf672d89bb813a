import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  enrolment,
  isRecoveryCode,
  newRecoveryCodes,
  newSecret,
  recoveryHash,
  stepOf,
} from './second-factor.js'

// RFC 6238 appendix B: the SHA-1 vectors have eight digits; ours are their last six.
const RFC_SECRET = Buffer.from('12345678901234567890')
const VECTORS: [seconds: number, code: string][] = [
  [59, '94287082'],
  [1111111109, '07081804'],
  [1111111111, '14050471'],
  [1234567890, '89005924'],
  [2000000000, '69279037'],
  [20000000000, '65353130'],
]

describe('RFC 6238', () => {
  test.each(VECTORS)('appendix B, at %i s', (seconds, code) => {
    expect(stepOf(RFC_SECRET, code.slice(-6), seconds * 1000, 0)).toBe(Math.floor(seconds / 30))
  })

  test('a code works once, and one step early or late, no more', () => {
    const [seconds, code] = VECTORS[2]!
    const step = Math.floor(seconds / 30)
    const at = (shift: number, last = 0) => stepOf(RFC_SECRET, code.slice(-6), (seconds + shift) * 1000, last)
    expect(at(30)).toBe(step)
    expect(at(-30)).toBe(step)
    expect(at(90)).toBeUndefined()
    expect(at(-90)).toBeUndefined()
    expect(at(0, step)).toBeUndefined()
    expect(at(0, step - 1)).toBe(step)
  })

  test('anything but six digits is no code', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        fc.pre(!/^\s*\d(\s*\d){5}\s*$/.test(text))
        expect(stepOf(RFC_SECRET, text, 59_000, 0)).toBeUndefined()
      }),
    )
  })
})

test('an enrolment names the issuer and the account, and holds 160 bits', () => {
  const { secret, uri } = enrolment(newSecret(), 'ana@example.org')
  expect(secret).toMatch(/^[A-Z2-7]{32}$/)
  expect(uri).toBe(
    `otpauth://totp/Vigil:ana%40example.org?issuer=Vigil&secret=${secret}&algorithm=SHA1&digits=6&period=30`,
  )
})

test('recovery codes are ten, all different, and read back however they are typed', () => {
  const codes = newRecoveryCodes()
  expect(new Set(codes).size).toBe(10)
  for (const code of codes) {
    expect(code).toMatch(/^([a-z2-9]{4}-){3}[a-z2-9]{4}$/)
    expect(isRecoveryCode(code)).toBe(true)
    expect(recoveryHash(` ${code.toUpperCase().replaceAll('-', ' ')}`)).toEqual(recoveryHash(code))
  }
  expect(isRecoveryCode('123456')).toBe(false)
})
