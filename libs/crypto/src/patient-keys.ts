import type { KeyObject } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import { type GeneratedKey, type KeyProvider, KeyServiceUnavailableError } from './provider.js'

const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 2_000

/**
 * A provider for work that nobody waits for: while the key management service is away it asks again, for `forMs` at
 * most. Requests must not use it; they answer 503.
 */
export class PatientKeys implements KeyProvider {
  constructor(
    private readonly provider: KeyProvider,
    private readonly forMs: number,
  ) {}

  generateDataKey(context: string): Promise<GeneratedKey> {
    return this.patiently(() => this.provider.generateDataKey(context))
  }

  wrap(key: Uint8Array, context: string): Promise<Buffer> {
    return this.patiently(() => this.provider.wrap(key, context))
  }

  unwrap(wrapped: Uint8Array, context: string): Promise<Buffer> {
    return this.patiently(() => this.provider.unwrap(wrapped, context))
  }

  rewrap(wrapped: Uint8Array, context: string): Promise<Buffer> {
    return this.patiently(() => this.provider.rewrap(wrapped, context))
  }

  sign(message: Uint8Array): Promise<Buffer> {
    return this.patiently(() => this.provider.sign(message))
  }

  verificationKey(): Promise<KeyObject> {
    return this.patiently(() => this.provider.verificationKey())
  }

  private async patiently<T>(ask: () => Promise<T>): Promise<T> {
    const deadline = Date.now() + this.forMs
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
      try {
        return await ask()
      } catch (error) {
        if (!(error instanceof KeyServiceUnavailableError) || Date.now() + pause > deadline) throw error
        await setTimeout(pause)
      }
    }
  }
}
