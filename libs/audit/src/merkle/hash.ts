import { hash } from 'node:crypto'

/** Length of a hash in bytes. */
export const HASH_LENGTH = 32

const sha256 = (bytes: Uint8Array): Buffer => hash('sha256', bytes, 'buffer')

/** Leaf hash: SHA-256(0x00 || entry) (RFC 6962 2.1). */
export function leafHash(entry: Uint8Array): Buffer {
  const prefixed = Buffer.allocUnsafe(1 + entry.length)
  prefixed[0] = 0
  prefixed.set(entry, 1)
  return sha256(prefixed)
}

/** Reused by every call: a tree of a million leaves would allocate it a million times. */
const pair = Buffer.alloc(1 + 2 * HASH_LENGTH, 1)

/** Node hash: SHA-256(0x01 || left || right) (RFC 6962 2.1). */
export function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  if (left.length !== HASH_LENGTH || right.length !== HASH_LENGTH)
    return sha256(Buffer.concat([Uint8Array.of(1), left, right]))
  pair.set(left, 1)
  pair.set(right, 1 + HASH_LENGTH)
  return sha256(pair)
}

/** Root of the empty tree: SHA-256 of nothing. */
export const EMPTY_ROOT = sha256(new Uint8Array())
