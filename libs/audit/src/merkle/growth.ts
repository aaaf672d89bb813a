import { HASH_LENGTH } from './hash.js'
import { TILE_WIDTH, type TileAddress, tileRoot } from './tile.js'

const LEVELS = 8

/** A tile with all the hashes that it has. */
export interface Tile extends TileAddress {
  hashes: Buffer
}

/** Where the unfinished tiles of a tree stand: those that its next leaves go into. */
export function unfinishedTiles(size: number): TileAddress[] {
  return Array.from({ length: LEVELS }, (_, level) => ({
    level,
    count: Math.floor(size / TILE_WIDTH ** level),
  }))
    .filter(({ count }) => count % TILE_WIDTH > 0)
    .map(({ level, count }) => ({ level, n: Math.floor(count / TILE_WIDTH) }))
}

/**
 * The tiles that change when `leaves` (32 bytes each, end to end) are appended to a tree of `size`, of which the
 * unfinished ones are given. Throws where these do not end where the tree does.
 */
export function growTiles(unfinished: readonly Tile[], size: number, leaves: Buffer): Tile[] {
  const before = new Map(unfinished.map(({ level, n, hashes }) => [`${level}/${n}`, hashes]))
  const changed: Tile[] = []
  let hashes = leaves
  let at = size
  for (let level = 0; hashes.length > 0; level++) {
    const roots: Buffer[] = []
    const first = Math.floor(at / TILE_WIDTH)
    for (let taken = 0; taken < hashes.length; ) {
      const n = Math.floor(at / TILE_WIDTH)
      const width = at % TILE_WIDTH
      const known = before.get(`${level}/${n}`) ?? Buffer.alloc(0)
      if (known.length !== width * HASH_LENGTH) throw new Error(`Tile ${level}/${n} does not end at ${at}`)
      const added = hashes.subarray(taken, taken + (TILE_WIDTH - width) * HASH_LENGTH)
      const whole = width === 0 ? added : Buffer.concat([known, added])
      changed.push({ level, n, hashes: whole })
      if (whole.length === TILE_WIDTH * HASH_LENGTH) roots.push(tileRoot(whole))
      taken += added.length
      at += added.length / HASH_LENGTH
    }
    hashes = Buffer.concat(roots)
    at = first
  }
  return changed
}
