import {
  decodeBundle,
  type FailureKind,
  HASH_LENGTH,
  leafHash,
  openCheckpoint,
  readKeys,
  TILE_WIDTH,
  type TrustedCheckpoint,
  tilePath,
  VerificationFailure,
} from '#libs/audit'
import { CheckedTiles } from './checked-tiles.js'
import { LogSource } from './log-source.js'

export interface VerifyOptions {
  /** Address of the compliance service. */
  url: string
  /** Access token with the scope audit:read: the entries are not public. Without one only hashes are verified. */
  token?: string
  /** Verification keys to trust: the log's, and those of witnesses that must have cosigned. Else the log's own are taken. */
  keys?: readonly string[]
  /** Text of a checkpoint that was kept earlier. */
  earlier?: string
  progress?: (done: number, size: number) => void
}

export type Verification =
  | {
      ok: true
      size: number
      root: string
      /** Entries whose bytes were verified; of the others only the hashes. */
      entries: number
      witnesses: string[]
    }
  | { ok: false; kind: FailureKind; failure: string; index?: number }

/** Entries of one tile against its hashes; throws with the place of the first that differs. */
function checkEntries(entries: Buffer[], hashes: Buffer, first: number): void {
  const hashAt = (at: number) => hashes.subarray(at * HASH_LENGTH, (at + 1) * HASH_LENGTH)
  for (const [at, entry] of entries.entries()) {
    const leaf = leafHash(entry)
    if (leaf.equals(hashAt(at))) continue
    const origin = entries.findIndex((_, other) => leaf.equals(hashAt(other)))
    const what = origin < 0 ? 'is not what was recorded' : `is what was recorded as entry ${first + origin}`
    throw new VerificationFailure('changed', `entry ${first + at} ${what}`, first + at)
  }
}

/** The first entry of a bundle that cannot be had, found by asking for ever shorter beginnings of it. */
async function firstMissing(source: LogSource, first: number, width: number): Promise<number> {
  let [there, gone] = [0, width]
  while (gone - there > 1) {
    const middle = Math.floor((there + gone) / 2)
    const part = await source.find(`/log/tile/${tilePath('entries', first / TILE_WIDTH, middle)}`)
    if (part) there = middle
    else gone = middle
  }
  return first + there
}

async function readEntries(source: LogSource, first: number, width: number): Promise<Buffer[]> {
  const path = tilePath('entries', first / TILE_WIDTH, width)
  const bundle = await source.find(`/log/tile/${path}`)
  const entries = bundle && decodeBundle(bundle)
  if (entries?.length === width) return entries
  const index = await firstMissing(source, first, width)
  throw new VerificationFailure('changed', `entry ${index} is missing`, index)
}

/** Entries below it were dropped after their period (C2SP tlog-tiles, Pruning); their hashes stay. */
async function minimumIndex(source: LogSource): Promise<number> {
  const text = (await source.find('/log/minimum-index'))?.toString('utf8').trim() ?? '0'
  if (!/^\d{1,15}$/.test(text)) throw new VerificationFailure('unreadable', 'the minimum index is malformed')
  return Number(text)
}

function openEarlier(options: VerifyOptions, keys: ReturnType<typeof readKeys>, now: TrustedCheckpoint) {
  if (options.earlier === undefined) return undefined
  const earlier = openCheckpoint(options.earlier, keys, { what: 'the earlier checkpoint' })
  const fail = (message: string) => new VerificationFailure('history', message)
  if (earlier.origin !== now.origin)
    throw fail(`the earlier checkpoint is one of another log, ${earlier.origin}; this one is ${now.origin}`)
  if (earlier.size > now.size) {
    throw fail(
      `the log has ${now.size} entries, but had ${earlier.size} when the earlier checkpoint was signed: entries were removed`,
    )
  }
  return earlier
}

async function verify(options: VerifyOptions): Promise<Verification> {
  const source = new LogSource(options.url, options.token)
  const given = options.keys ?? []
  const keys = readKeys(given.length > 0 ? given : (await source.text('/log/keys')).trim().split('\n'))
  const what = 'the checkpoint'
  const checkpoint = openCheckpoint(await source.text('/log/checkpoint'), keys, {
    what,
    everyWitness: given.length > 0,
  })
  const earlier = openEarlier(options, keys, checkpoint)
  const { size, root, cosignatures } = checkpoint
  const tiles = await CheckedTiles.open(source, checkpoint)
  if (earlier && !(await tiles.rootAt(earlier.size)).equals(earlier.root)) {
    throw new VerificationFailure(
      'history',
      `the first ${earlier.size} entries are not those of the earlier checkpoint: history was rewritten`,
    )
  }
  const minimum = await minimumIndex(source)
  let entries = 0
  for (let first = 0; first < size; first += TILE_WIDTH) {
    const hashes = await tiles.read(0, first / TILE_WIDTH)
    const width = hashes.length / HASH_LENGTH
    if (source.readsEntries && first + width > minimum) {
      checkEntries(await readEntries(source, first, width), hashes, first)
      entries += width
    }
    options.progress?.(first + width, size)
  }
  return {
    ok: true,
    size,
    root: root.toString('base64'),
    entries,
    witnesses: cosignatures.map(({ witness }) => witness),
  }
}

/**
 * Verifies a whole log with nothing but what it publishes: the signatures of its checkpoint, every tile up to the root,
 * every entry against its hash, and, given an earlier checkpoint, that history was only appended to.
 */
export async function verifyLog(options: VerifyOptions): Promise<Verification> {
  try {
    return await verify(options)
  } catch (error) {
    if (!(error instanceof VerificationFailure)) throw error
    const { kind, message, index } = error
    return { ok: false, kind, failure: message, ...(index === undefined ? {} : { index }) }
  }
}
