import { createHash, type KeyObject } from 'node:crypto'
import type { GeneratedKey, KeyProvider } from './provider.js'

interface CacheOptions {
  /** Most keys held at once; the least recently used goes first. */
  capacity: number
  /** How long a key is held, however often it is used. */
  ttlMs: number
}

interface Held {
  key: Buffer
  expiry: NodeJS.Timeout
}

/**
 * A key provider that remembers what another one unwrapped, so that reads go on while it is away. Held keys are
 * overwritten when they leave; callers get copies. Whether a data key still exists is the database's to say: ask it
 * for the wrapped key first, and an erasure takes effect at once.
 */
export class KeyCache implements KeyProvider {
  private readonly held = new Map<string, Held>()

  constructor(
    private readonly provider: KeyProvider,
    private readonly options: CacheOptions = { capacity: 1024, ttlMs: 300_000 },
  ) {}

  async generateDataKey(context: string): Promise<GeneratedKey> {
    const generated = await this.provider.generateDataKey(context)
    this.hold(nameOf(generated.wrapped, context), generated.plaintext)
    return generated
  }

  wrap(key: Uint8Array, context: string): Promise<Buffer> {
    return this.provider.wrap(key, context)
  }

  async unwrap(wrapped: Uint8Array, context: string): Promise<Buffer> {
    const name = nameOf(wrapped, context)
    const known = this.held.get(name)
    if (known) {
      this.held.delete(name)
      this.held.set(name, known)
      return Buffer.from(known.key)
    }
    const key = await this.provider.unwrap(wrapped, context)
    this.hold(name, key)
    return key
  }

  rewrap(wrapped: Uint8Array, context: string): Promise<Buffer> {
    return this.provider.rewrap(wrapped, context)
  }

  sign(message: Uint8Array): Promise<Buffer> {
    return this.provider.sign(message)
  }

  verificationKey(): Promise<KeyObject> {
    return this.provider.verificationKey()
  }

  /** Forgets every key. */
  clear(): void {
    for (const name of [...this.held.keys()]) this.drop(name)
  }

  private hold(name: string, key: Uint8Array): void {
    this.drop(name)
    const expiry = setTimeout(() => this.drop(name), this.options.ttlMs).unref()
    // Not from Node's shared pool, which would keep a copy beside other data.
    const copy = Buffer.alloc(key.length)
    copy.set(key)
    this.held.set(name, { key: copy, expiry })
    if (this.held.size > this.options.capacity) this.drop(this.held.keys().next().value!)
  }

  private drop(name: string): void {
    const held = this.held.get(name)
    if (!held) return
    clearTimeout(held.expiry)
    held.key.fill(0)
    this.held.delete(name)
  }
}

/** Wrapped key and context together: the right key for the wrong context is a miss, and the provider refuses it. */
const nameOf = (wrapped: Uint8Array, context: string): string =>
  createHash('sha256').update(JSON.stringify(context)).update(wrapped).digest('base64')
