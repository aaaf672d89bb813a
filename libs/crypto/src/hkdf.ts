import { createHmac } from 'node:crypto'

type Hash = 'sha256' | 'sha384'

/** HKDF-Expand (RFC 5869 2.3): `length` bytes from a pseudorandom key. Node's `hkdfSync` also extracts. */
export function hkdfExpand(hash: Hash, key: Uint8Array, info: Uint8Array, length: number): Buffer {
  const blocks: Buffer[] = []
  let previous = Buffer.alloc(0)
  for (let made = 0, counter = 1; made < length; made += previous.length, counter++) {
    previous = createHmac(hash, key).update(previous).update(info).update(Uint8Array.of(counter)).digest()
    blocks.push(previous)
  }
  return Buffer.concat(blocks).subarray(0, length)
}
