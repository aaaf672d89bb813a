import { hash } from 'node:crypto'

interface Entry<T> {
  value: T
  until: number
}

/**
 * Remembers what was verified, by the SHA-256 of what was shown, so that the thousandth payment of a minute does not
 * pay for the same signature again. Least recently used goes first; nothing outlives `maxAgeMs` or its own end; what
 * failed is never kept.
 */
export class TokenCache<T extends { expiresAt: number }> {
  private readonly entries = new Map<string, Entry<T>>()

  constructor(
    private readonly size: number,
    private readonly maxAgeMs: number,
  ) {}

  get(token: string, now: number): T | undefined {
    if (this.size === 0) return undefined
    const key = hash('sha256', token, 'base64')
    const entry = this.entries.get(key)
    if (!entry) return undefined
    this.entries.delete(key)
    if (entry.until <= now) return undefined
    this.entries.set(key, entry)
    return entry.value
  }

  put(token: string, value: T, now: number): void {
    const until = Math.min(value.expiresAt, now + this.maxAgeMs)
    if (this.size === 0 || until <= now) return
    this.entries.set(hash('sha256', token, 'base64'), { value, until })
    if (this.entries.size > this.size) this.entries.delete(this.entries.keys().next().value!)
  }
}
