import type { KeyObject } from 'node:crypto'

/** A fresh data key: in clear for use now, and wrapped for keeping. */
export interface GeneratedKey {
  plaintext: Buffer
  wrapped: Buffer
}

/**
 * Whoever holds the key-encryption keys: the local keyring, HashiCorp Vault / OpenBao, AWS KMS. `context` says what
 * a data key is for (never empty, never a name: AWS writes it into CloudTrail) and is bound to it: a wrapped key opens only under the context it was made for, else
 * NotAuthenticError. Where the holder cannot be reached every call rejects with KeyServiceUnavailableError.
 */
export interface KeyProvider {
  generateDataKey(context: string): Promise<GeneratedKey>
  wrap(key: Uint8Array, context: string): Promise<Buffer>
  unwrap(wrapped: Uint8Array, context: string): Promise<Buffer>
  /** The same data key under the newest key-encryption key. */
  rewrap(wrapped: Uint8Array, context: string): Promise<Buffer>
  /** ECDSA over P-256 with SHA-256, as ASN.1 DER: for model artifacts and receipts. */
  sign(message: Uint8Array): Promise<Buffer>
  /** Public half of the key that signs. */
  verificationKey(): Promise<KeyObject>
}

/** What an operator's tools need besides: which key-encryption key wraps, and a new one. */
export interface RotatingKeyProvider extends KeyProvider {
  /** Label of the key-encryption key that wraps from now on, e.g. `local 3`, `vault vigil 3`. */
  currentVersion(): Promise<string>
  /** Label of the one that a wrapped key is under; undefined where it is none of this provider's. */
  versionOf(wrapped: Uint8Array): string | undefined
  /** Makes a key-encryption key that wraps from now on, everywhere; the older ones still unwrap. */
  rotate(): Promise<string>
}

/** The key management service is away or refuses: to be tried again later. The HTTP filter answers 503. */
export class KeyServiceUnavailableError extends Error {
  override readonly name = 'KeyServiceUnavailableError'
  readonly statusCode = 503
}

/** First byte of a wrapped key: which provider wrapped it. */
export const WRAPPED_BY = { local: 1, vault: 2, aws: 3 } as const
