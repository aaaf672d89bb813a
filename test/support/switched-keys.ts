import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LocalKeyring } from '../../libs/crypto/src/keyring.js'
import { type KeyProvider, KeyServiceUnavailableError } from '../../libs/crypto/src/provider.js'

const newRing = () => LocalKeyring.open(join(mkdtempSync(join(tmpdir(), 'vigil-switched-')), 'keyring.json'))

/** A key management service with a switch: while `down`, it answers nobody. */
export class SwitchedKeys implements KeyProvider {
  down = false
  unwraps = 0

  constructor(private readonly ring: LocalKeyring = newRing()) {}

  private reach(): LocalKeyring {
    if (this.down) throw new KeyServiceUnavailableError('The key management service is away')
    return this.ring
  }
  async generateDataKey(context: string) {
    return this.reach().generateDataKey(context)
  }
  async wrap(key: Uint8Array, context: string) {
    return this.reach().wrap(key, context)
  }
  async unwrap(wrapped: Uint8Array, context: string) {
    const ring = this.reach()
    this.unwraps++
    return ring.unwrap(wrapped, context)
  }
  async rewrap(wrapped: Uint8Array, context: string) {
    return this.reach().rewrap(wrapped, context)
  }
  async sign(message: Uint8Array) {
    return this.reach().sign(message)
  }
  async verificationKey() {
    return this.reach().verificationKey()
  }
}
