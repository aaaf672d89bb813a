import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { SwitchedKeys } from '../../../test/support/switched-keys.js'
import { KeyCache } from './key-cache.js'
import { NotAuthenticError } from './xaes.js'

describe('a key cache', () => {
  let provider: SwitchedKeys
  let cache: KeyCache
  beforeEach(() => {
    vi.useFakeTimers()
    provider = new SwitchedKeys()
    cache = new KeyCache(provider, { capacity: 2, ttlMs: 60_000 })
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  test('reads go on while the provider is away, writes do not', async () => {
    const { plaintext, wrapped } = await cache.generateDataKey('a')
    provider.down = true
    expect((await cache.unwrap(wrapped, 'a')).equals(plaintext)).toBe(true)
    expect(provider.unwraps).toBe(0)
    await expect(cache.generateDataKey('b')).rejects.toThrow(/away/)
    await expect(cache.wrap(plaintext, 'b')).rejects.toThrow(/away/)
  })

  test('a held key opens under no other context', async () => {
    const { wrapped } = await cache.generateDataKey('a')
    await expect(cache.unwrap(wrapped, 'b')).rejects.toThrow(NotAuthenticError)
  })

  test('a key is held for its time and no longer, however often it is used', async () => {
    const { wrapped } = await cache.generateDataKey('a')
    vi.advanceTimersByTime(59_000)
    await cache.unwrap(wrapped, 'a')
    expect(provider.unwraps).toBe(0)
    vi.advanceTimersByTime(1_001)
    await cache.unwrap(wrapped, 'a')
    expect(provider.unwraps).toBe(1)
  })

  test('the least recently used key makes room', async () => {
    const [a, b] = [await cache.generateDataKey('a'), await cache.generateDataKey('b')]
    await cache.unwrap(a.wrapped, 'a')
    await cache.generateDataKey('c')
    await cache.unwrap(a.wrapped, 'a')
    expect(provider.unwraps).toBe(0)
    await cache.unwrap(b.wrapped, 'b')
    expect(provider.unwraps).toBe(1)
  })

  test('what leaves is overwritten; what a caller holds is not', async () => {
    const { plaintext, wrapped } = await cache.generateDataKey('a')
    const [kept] = [...(cache as unknown as { held: Map<string, { key: Buffer }> }).held.values()]
    const callers = await cache.unwrap(wrapped, 'a')
    expect(kept!.key.equals(plaintext)).toBe(true)
    cache.clear()
    expect(kept!.key.equals(Buffer.alloc(32))).toBe(true)
    expect(callers.equals(plaintext)).toBe(true)
  })
})
