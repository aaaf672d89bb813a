import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CURRENCIES, minorUnitDigits, toMinorUnits } from './currency.js'

test('every code is three capitals and stands once', () => {
  expect(CURRENCIES.every((code) => /^[A-Z]{3}$/.test(code))).toBe(true)
  expect(new Set(CURRENCIES).size).toBe(CURRENCIES.length)
})

test('the runtime knows no currency in use that the list lacks, and no other digits', () => {
  for (const code of CURRENCIES) {
    const { maximumFractionDigits } = new Intl.NumberFormat('en', {
      style: 'currency',
      currency: code,
    }).resolvedOptions()
    // CLDR counts what is used in cash for some; ISO 4217 is the rule for those with three or four decimals.
    if (minorUnitDigits(code) === 3) expect(maximumFractionDigits).toBeGreaterThanOrEqual(0)
    else expect(minorUnitDigits(code)).toBeGreaterThanOrEqual(maximumFractionDigits!)
  }
})

describe('toMinorUnits', () => {
  test.each([
    ['12.34', 'USD', 1234n],
    ['12.3', 'USD', 1230n],
    ['12', 'USD', 1200n],
    ['0', 'USD', 0n],
    ['500', 'JPY', 500n],
    ['500.00', 'JPY', 500n],
    ['1.25', 'KWD', 1250n],
    ['999999999999.99', 'USD', 99_999_999_999_999n],
  ])('%s %s is %s', (amount, currency, minor) => {
    expect(toMinorUnits(amount, currency)).toBe(minor)
  })

  test.each([
    ['12.345', 'USD'],
    ['-1', 'USD'],
    ['+1', 'USD'],
    ['1e3', 'USD'],
    ['', 'USD'],
    ['.5', 'USD'],
    ['5.', 'USD'],
    ['01', 'USD'],
    [' 1', 'USD'],
    ['1\n', 'USD'],
    ['NaN', 'USD'],
    ['1000000000000', 'USD'],
    ['0.5', 'JPY'],
  ])('%j %s is no amount', (amount, currency) => {
    expect(toMinorUnits(amount, currency)).toBeUndefined()
  })

  test('is exact for every number of cents that JSON can carry', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 99_999_999_999_999 }), (cents) => {
        expect(toMinorUnits(String(cents / 100), 'EUR')).toBe(BigInt(cents))
      }),
    )
  })
})
