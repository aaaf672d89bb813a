import type { KeyObject } from 'node:crypto'
import type { GeneratedKey, RotatingKeyProvider } from './provider.js'
import { NotAuthenticError } from './xaes.js'

/**
 * One provider after another: the first wraps, both unwrap, and a rewrap moves a key from the old to the new. This is
 * how a house goes from the keyring file to Vault without stopping.
 */
export class Succession implements RotatingKeyProvider {
  constructor(
    private readonly current: RotatingKeyProvider,
    private readonly previous: RotatingKeyProvider,
  ) {}

  generateDataKey(context: string): Promise<GeneratedKey> {
    return this.current.generateDataKey(context)
  }

  wrap(key: Uint8Array, context: string): Promise<Buffer> {
    return this.current.wrap(key, context)
  }

  async unwrap(wrapped: Uint8Array, context: string): Promise<Buffer> {
    return this.holderOf(wrapped).unwrap(wrapped, context)
  }

  async rewrap(wrapped: Uint8Array, context: string): Promise<Buffer> {
    const holder = this.holderOf(wrapped)
    if (holder === this.current) return holder.rewrap(wrapped, context)
    const key = await holder.unwrap(wrapped, context)
    return this.current.wrap(key, context).finally(() => key.fill(0))
  }

  sign(message: Uint8Array): Promise<Buffer> {
    return this.current.sign(message)
  }

  verificationKey(): Promise<KeyObject> {
    return this.current.verificationKey()
  }

  currentVersion(): Promise<string> {
    return this.current.currentVersion()
  }

  versionOf(wrapped: Uint8Array): string | undefined {
    return this.current.versionOf(wrapped) ?? this.previous.versionOf(wrapped)
  }

  rotate(): Promise<string> {
    return this.current.rotate()
  }

  private holderOf(wrapped: Uint8Array): RotatingKeyProvider {
    const holder = [this.current, this.previous].find((provider) => provider.versionOf(wrapped))
    if (!holder) throw new NotAuthenticError()
    return holder
  }
}
