import { createHmac } from 'node:crypto'

/** Version of the index key: lookups by an older one go on while rows are indexed anew. */
export const BLIND_INDEX_VERSION = 1

/**
 * A keyed hash for looking a value up without storing it: HMAC-SHA-256 over column, tenant and value, cut to
 * 16 bytes, as `1:<base64url>`. Equal values give equal hashes only within one column and tenant.
 */
export function blindIndex(key: Uint8Array, column: string, tenant: string, value: string): string {
  const message = JSON.stringify([column, tenant, value.normalize('NFC')])
  const digest = createHmac('sha256', key).update(message).digest()
  return `${BLIND_INDEX_VERSION}:${digest.subarray(0, 16).toString('base64url')}`
}
