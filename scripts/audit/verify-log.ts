import {
  type Checkpoint,
  decodeBundle,
  Frontier,
  HASH_LENGTH,
  isSignedBy,
  leafHash,
  parseCheckpoint,
  parseNote,
  parseVerificationKey,
  TILE_WIDTH,
  tilePath,
} from '#libs/audit'

export interface VerifyOptions {
  /** Address of the compliance service. */
  url: string
  /** Access token with the scope audit:read: the entries are not public. */
  token: string
  /** Verification key to trust; without one the log's own is taken, which proves less. */
  key?: string
  /** Text of a checkpoint that was kept earlier. */
  earlier?: string
  progress?: (done: number, size: number) => void
}

export type Verification = { ok: true; size: number; root: string } | { ok: false; failure: string }

const failed = (failure: string): Verification => ({ ok: false, failure })

async function fetchBytes({ url, token }: VerifyOptions, path: string): Promise<Buffer> {
  const response = await fetch(`${url}${path}`, { headers: { authorization: `Bearer ${token}` } })
  if (!response.ok) throw new Error(`${path} answered ${response.status}`)
  return Buffer.from(await response.arrayBuffer())
}

/** A checkpoint whose signature by the key is valid, or undefined. */
function readSigned(text: string, key: string): Checkpoint | undefined {
  const note = parseNote(text)
  const verifier = parseVerificationKey(key)
  const checkpoint = parseCheckpoint(note.text)
  return isSignedBy(note, verifier) && checkpoint.origin === verifier.name ? checkpoint : undefined
}

/** The bundle's entries against the published hashes; the index of the first that differs, or undefined. */
function firstDifference(entries: Buffer[], hashes: Buffer, first: number): number | undefined {
  const at = entries.findIndex(
    (entry, n) => !leafHash(entry).equals(hashes.subarray(n * HASH_LENGTH, (n + 1) * HASH_LENGTH)),
  )
  return at < 0 ? undefined : first + at
}

/**
 * Verifies a whole log with nothing but what it publishes: the signature of its checkpoint, every entry against its
 * leaf hash, the root over all of them, and, given an earlier checkpoint, that history was only appended to.
 */
export async function verifyLog(options: VerifyOptions): Promise<Verification> {
  const text = async (path: string) => (await fetchBytes(options, path)).toString('utf8')
  const key = options.key ?? (await text('/log/keys')).split('\n')[0]!
  const newest = readSigned(await text('/log/checkpoint'), key)
  if (!newest) return failed('the checkpoint is not signed by the key of the log')
  const earlier = options.earlier === undefined ? undefined : readSigned(options.earlier, key)
  if (options.earlier !== undefined && !earlier)
    return failed('the earlier checkpoint is not signed by the key of the log')
  if (earlier && earlier.size > newest.size) {
    return failed(
      `the log has ${newest.size} entries, but had ${earlier.size} when the earlier checkpoint was signed: entries were removed`,
    )
  }
  const frontier = new Frontier()
  for (let first = 0; first < newest.size; first += TILE_WIDTH) {
    const width = Math.min(TILE_WIDTH, newest.size - first)
    const path = (level: number | 'entries') => `/log/tile/${tilePath(level, first / TILE_WIDTH, width)}`
    const [bundle, hashes] = await Promise.all([
      fetchBytes(options, path('entries')),
      fetchBytes(options, path(0)),
    ])
    const entries = decodeBundle(bundle)
    if (entries.length !== width || hashes.length !== width * HASH_LENGTH)
      return failed(`entries ${first} to ${first + width - 1} are not all there`)
    const wrong = firstDifference(entries, hashes, first)
    if (wrong !== undefined) return failed(`entry ${wrong} is not what was recorded`)
    for (const entry of entries) {
      frontier.append(leafHash(entry))
      if (frontier.size === earlier?.size && !frontier.root().equals(earlier.root)) {
        return failed(
          `the first ${earlier.size} entries are not those of the earlier checkpoint: history was rewritten`,
        )
      }
    }
    options.progress?.(frontier.size, newest.size)
  }
  if (!frontier.root().equals(newest.root)) return failed('the entries do not make up the signed root')
  return { ok: true, size: newest.size, root: newest.root.toString('base64') }
}
