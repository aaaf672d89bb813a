import { createHmac } from 'node:crypto'

const HASH_LENGTH = { sha256: 32, sha384: 48 } as const
type Hash = keyof typeof HASH_LENGTH

/** HKDF-Expand (RFC 5869 2.3): `length` bytes from a pseudorandom key. Node's `hkdfSync` also extracts. */
export function hkdfExpand(hash: Hash, key: Uint8Array, info: Uint8Array, length: number): Buffer {
  if (length > 255 * HASH_LENGTH[hash]) throw new RangeError('HKDF-Expand gives at most 255 blocks')
  const blocks: Buffer[] = []
  let previous = Buffer.alloc(0)
  for (let made = 0, counter = 1; made < length; made += previous.length, counter++) {
    previous = createHmac(hash, key).update(previous).update(info).update(Uint8Array.of(counter)).digest()
    blocks.push(previous)
  }
  return Buffer.concat(blocks).subarray(0, length)
}

/** A 32-byte key for one purpose out of a root secret. */
export const deriveKey = (root: Uint8Array, purpose: string): Buffer =>
  hkdfExpand('sha256', root, Buffer.from(`vigil ${purpose}`), 32)
