import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { holdsCardNumber } from './card-number.js'

/** Numbers that the schemes publish for tests. */
const PUBLISHED = [
  '4111111111111111',
  '4012888888881881',
  '5555555555554444',
  '5105105105105100',
  '2223003122003222',
  '378282246310005',
  '371449635398431',
  '6011111111111117',
  '3530111333300000',
  '30569309025904',
  '6200000000000005',
]

describe('a card number', () => {
  test.each(PUBLISHED)('%s is seen, alone, in text, grouped, in other digits', (number) => {
    expect(holdsCardNumber(number)).toBe(true)
    expect(holdsCardNumber(`user ${number}!`)).toBe(true)
    expect(holdsCardNumber(`card_${number}`)).toBe(true)
    expect(holdsCardNumber(`2026-11-24 ${number}`)).toBe(true)
    const groups = number.length === 16 ? /(.{4})(.{4})(.{4})(.{4})/ : /(.{4})(.{6})(.+)/
    for (const separator of [' ', '-', '.'])
      expect(
        holdsCardNumber(number.replace(groups, (_, ...parts) => parts.slice(0, -2).join(separator))),
      ).toBe(true)
    const wide = [...number].map((digit) => String.fromCodePoint(0xff10 + Number(digit))).join('')
    expect(holdsCardNumber(wide)).toBe(true)
  })

  test.each(PUBLISHED)('%s with one digit changed is none', (number) => {
    for (let at = 6; at < number.length; at++) {
      const changed = `${number.slice(0, at)}${(Number(number[at]) + 1) % 10}${number.slice(at + 1)}`
      expect(holdsCardNumber(changed)).toBe(false)
    }
  })

  test.each([
    'tx-1',
    'a1b2c3',
    '0190abcd-1111-7111-8111-111111111111',
    '1732487654321',
    '20261124103000',
    'u-99887766554',
  ])('%s is none', (text) => expect(holdsCardNumber(text)).toBe(false))

  test('UUIDs and numbers of other lengths are none', () => {
    fc.assert(fc.property(fc.uuid(), (id) => !holdsCardNumber(id)))
    fc.assert(fc.property(fc.stringMatching(/^4\d{20,40}$/), (digits) => !holdsCardNumber(digits)))
  })

  test('any text is looked at without an exception', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => void holdsCardNumber(text)),
    )
  })
})
