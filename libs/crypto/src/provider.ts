/** A fresh data key: in clear for use now, and wrapped for keeping. */
export interface GeneratedKey {
  plaintext: Buffer
  wrapped: Buffer
}

/**
 * Whoever holds the key-encryption keys. `context` says what a data key is for and is bound to it: a wrapped
 * key opens only under the context it was made for, else NotAuthenticError.
 */
export interface KeyProvider {
  generateDataKey(context: string): Promise<GeneratedKey>
  wrap(key: Uint8Array, context: string): Promise<Buffer>
  unwrap(wrapped: Uint8Array, context: string): Promise<Buffer>
  /** The same data key under the newest key-encryption key. */
  rewrap(wrapped: Uint8Array, context: string): Promise<Buffer>
}
