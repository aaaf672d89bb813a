import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { KeyCache } from './key-cache.js'
import { LocalKeyring } from './keyring.js'
import type { KeyProvider } from './provider.js'
import { NotAuthenticError } from './xaes.js'

class Switched implements KeyProvider {
  down = false
  unwraps = 0
  private readonly ring = LocalKeyring.open(join(mkdtempSync(join(tmpdir(), 'vigil-cache-')), 'keyring.json'))
  private reach(): void {
    if (this.down) throw new Error('The key management service is away')
  }
  async generateDataKey(context: string) {
    this.reach()
    return this.ring.generateDataKey(context)
  }
  async wrap(key: Uint8Array, context: string) {
    this.reach()
    return this.ring.wrap(key, context)
  }
  async unwrap(wrapped: Uint8Array, context: string) {
    this.reach()
    this.unwraps++
    return this.ring.unwrap(wrapped, context)
  }
  async rewrap(wrapped: Uint8Array, context: string) {
    this.reach()
    return this.ring.rewrap(wrapped, context)
  }
}

describe('a key cache', () => {
  let provider: Switched
  let cache: KeyCache
  beforeEach(() => {
    vi.useFakeTimers()
    provider = new Switched()
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
