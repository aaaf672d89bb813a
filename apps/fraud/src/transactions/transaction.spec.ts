import { describe, expect, test } from 'vitest'
import { invalidRequest } from '#libs/platform'
import { fingerprint, PAYMENT_METHODS, Transaction, timeError } from './transaction.js'

const body = {
  transaction_id: 't-1',
  user_id: 'u-1',
  amount: 10.5,
  merchant_id: 'm-1',
  timestamp: '2026-05-01T10:00:00Z',
  location: { latitude: 48.85, longitude: 2.35 },
  payment_method: 'wallet',
}
const parse = (changes: object = {}) => Transaction.parse({ ...body, ...changes })

test('the currency is US dollars where none is told', () => {
  expect(parse().currency).toBe('USD')
})

test('an id may be in any script, 128 characters long', () => {
  expect(parse({ user_id: 'ä'.repeat(128) }).user_id).toHaveLength(128)
  expect(Transaction.safeParse({ ...body, user_id: '客户😀'.repeat(1) }).success).toBe(true)
})

test.each(Object.keys(PAYMENT_METHODS))('%s is a payment method', (payment_method) => {
  expect(parse({ payment_method }).payment_method).toBe(payment_method)
})

describe('a card number is refused by the name of its field, and not said again', () => {
  const card = '4111 1111 1111 1111'
  test.each([
    ['/transaction_id', { transaction_id: card }],
    ['/user_id', { user_id: `card:${card}` }],
    ['/merchant_id', { merchant_id: '378282246310005' }],
    ['/metadata/note', { metadata: { note: `paid with ${card}` } }],
    ['/metadata/pan', { metadata: { pan: 4111111111111111 } }],
    ['/metadata', { metadata: { [card]: true } }],
    ['/[card number]', { [card]: 1 }],
  ])('%s', (pointer, changes) => {
    const { error } = Transaction.safeParse({ ...body, ...changes })
    const details = JSON.stringify(invalidRequest(error!.issues).toDetails('urn:x'))
    expect(details).toContain(`"${pointer}"`)
    expect(details).not.toMatch(/4111|3782/)
  })
})

describe('fingerprint', () => {
  const print = (changes: object = {}) => fingerprint(parse(changes)).toString('hex')

  test.each([
    ['an amount as text', { amount: '10.50' }],
    ['the default told', { currency: 'USD' }],
    ['members in another order', Object.fromEntries(Object.entries(body).reverse())],
  ])('is the same for %s', (_case, changes) => {
    expect(print(changes)).toBe(print())
  })

  test.each([
    ['amount', { amount: 10.51 }],
    ['currency', { currency: 'EUR' }],
    ['place', { location: { latitude: 48.85, longitude: 2.36 } }],
    ['time', { timestamp: '2026-05-01T10:00:01Z' }],
    ['metadata', { metadata: { basket: 'b' } }],
  ])('differs with another %s', (_case, changes) => {
    expect(print(changes)).not.toBe(print())
  })
})

describe('timeError', () => {
  const now = Date.parse('2026-05-01T12:00:00Z')
  test.each([
    ['2000-01-01T00:00:00Z', undefined],
    ['1999-12-31T23:59:59Z', 'must not be before the year 2000'],
    ['2000-01-01T00:30:00+01:00', 'must not be before the year 2000'],
    ['2026-05-01T12:05:00Z', undefined],
    ['2026-05-01T12:05:00.001Z', 'must not be in the future'],
    ['2026-05-01T14:05:00+02:00', undefined],
  ])('%s', (timestamp, error) => {
    expect(timeError({ timestamp }, now)).toBe(error)
  })
})
