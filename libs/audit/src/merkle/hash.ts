import { createHash } from 'node:crypto'

/** Length of a hash in bytes. */
export const HASH_LENGTH = 32

/** Leaf hash: SHA-256(0x00 || entry) (RFC 6962 2.1). */
export const leafHash = (entry: Uint8Array): Buffer =>
  createHash('sha256').update(Uint8Array.of(0)).update(entry).digest()

/** Node hash: SHA-256(0x01 || left || right) (RFC 6962 2.1). */
export const nodeHash = (left: Uint8Array, right: Uint8Array): Buffer =>
  createHash('sha256').update(Uint8Array.of(1)).update(left).update(right).digest()

/** Root of the empty tree: SHA-256 of nothing. */
export const EMPTY_ROOT = createHash('sha256').digest()
