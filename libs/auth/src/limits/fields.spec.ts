import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { budgetOf, DEFAULT_BUDGETS, RateLimits } from './budgets.js'
import { addressKey, limitField, policyField } from './fields.js'

test('the header fields are structured fields of the IETF draft', () => {
  expect(policyField('predict', 1000)).toBe('"predict";q=1000;w=60')
  expect(limitField('predict', 999, 12)).toBe('"predict";r=999;t=12')
})

describe('what counts as one address', () => {
  test.each([
    ['192.0.2.7', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:DB8:0001:0002::9', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
  ])('%s is %s', (ip, key) => expect(addressKey(ip)).toBe(key))

  test('whoever has a /64 has one budget', () => {
    fc.assert(
      fc.property(fc.ipV6(), fc.ipV6(), (one, other) => {
        fc.pre(!/\d\.\d/.test(one + other))
        const expanded = (ip: string) => {
          const [head = '', tail = ''] = ip.split('::')
          const [left, right] = [head.split(':').filter(Boolean), tail.split(':').filter(Boolean)]
          const zeros = Array<string>(8 - left.length - right.length).fill('0')
          return [...left, ...zeros, ...right].map((group) => Number.parseInt(group, 16))
        }
        const prefix = (ip: string) => expanded(ip).slice(0, 4).join()
        expect(addressKey(one) === addressKey(other)).toBe(prefix(one) === prefix(other))
        const neighbour = [...expanded(one).slice(0, 4), 1, 2, 3, 4]
          .map((group) => group.toString(16))
          .join(':')
        expect(addressKey(neighbour)).toBe(addressKey(one))
      }),
    )
  })
})

test('a route is charged to its own budget, whoever is unknown to that of the address', () => {
  expect(budgetOf('POST', '/api/v1/images', true)).toBe('images')
  expect(budgetOf('GET', '/api/v1/images/:id', true)).toBe('default')
  expect(budgetOf('POST', '/api/v1/images', false)).toBe('anonymous')
  expect(budgetOf('POST', '/auth/token', false)).toBe('token')
  expect(budgetOf('POST', '/auth/token', true)).toBe('token')
})

test('budgets are set by name; the others keep their default; anything else is refused', () => {
  expect(RateLimits.parse('{"predict":5}')).toEqual({ ...DEFAULT_BUDGETS, predict: 5 })
  expect(RateLimits.parse(undefined)).toEqual(DEFAULT_BUDGETS)
  for (const wrong of ['{', '[]', '{"predikt":1}', '{"predict":0}', '{"predict":"1"}'])
    expect(RateLimits.safeParse(wrong).success).toBe(false)
})
