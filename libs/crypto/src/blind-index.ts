import { createHmac } from 'node:crypto'

/**
 * A keyed hash for looking a value up without storing it: HMAC-SHA-256 over column, tenant and value, cut to
 * 16 bytes, as `<version of the key>:<base64url>`. Equal values give equal hashes only within one column and tenant.
 */
export function blindIndex(
  key: Uint8Array,
  column: string,
  tenant: string,
  value: string,
  version = 1,
): string {
  const message = JSON.stringify([column, tenant, value.normalize('NFC')])
  const digest = createHmac('sha256', key).update(message).digest()
  return `${version}:${digest.subarray(0, 16).toString('base64url')}`
}

/** What is looked up: a value of a column, within a tenant. */
export interface Indexed {
  column: string
  tenant: string
  value: string
}

/** The keys of a blind index that are live: the first writes, all are looked for. */
export class BlindIndex {
  constructor(private readonly keys: readonly { version: number; key: Uint8Array }[]) {
    if (keys.length === 0) throw new RangeError('A blind index has one key at least')
  }

  /** The value under every live version, the one that writes first. */
  candidates({ column, tenant, value }: Indexed): [string, ...string[]] {
    const all = this.keys.map(({ version, key }) => blindIndex(key, column, tenant, value, version))
    return all as [string, ...string[]]
  }
}

/** The keys of these versions, newest first, out of the lasting keys: version 1 is the one there always was. */
export const openBlindIndex = (
  derive: (purpose: string) => Uint8Array,
  versions: readonly number[],
): BlindIndex =>
  new BlindIndex(
    versions.map((version) => ({
      version,
      key: derive(version === 1 ? 'blind index' : `blind index v${version}`),
    })),
  )
