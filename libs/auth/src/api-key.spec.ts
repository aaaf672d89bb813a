import fc from 'fast-check'
import { expect, test } from 'vitest'
import { apiKeyHash, apiKeyId, newApiKey } from './api-key.js'

test('a key names its id; no two are alike', () => {
  const keys = Array.from({ length: 200 }, newApiKey)
  expect(new Set(keys.map(({ id }) => id)).size).toBe(200)
  for (const { id, text } of keys) {
    expect(text).toMatch(/^vk_[a-z0-9]{12}_[A-Za-z0-9_-]{43}[0-9a-f]{8}$/)
    expect(apiKeyId(text)).toBe(id)
    expect(apiKeyHash(text)).toHaveLength(32)
  }
})

test('a key with one character changed, cut off or added is no key', () => {
  const { text } = newApiKey()
  fc.assert(
    fc.property(fc.nat(text.length - 1), fc.constantFrom(...'aZ09_- \n'), (at, character) => {
      const changed = text.slice(0, at) + character + text.slice(at + 1)
      fc.pre(changed !== text)
      expect(apiKeyId(changed)).toBeUndefined()
    }),
  )
  for (const wrong of [text.slice(0, -1), `${text}0`, ` ${text}`, '', 'vk_'])
    expect(apiKeyId(wrong)).toBeUndefined()
})
