import {
  HASH_LENGTH,
  nodesFromTiles,
  rootOf,
  TILE_WIDTH,
  type TrustedCheckpoint,
  tilePath,
  tileRoot,
  tileWidth,
  VerificationFailure,
} from '#libs/audit'
import type { LogSource } from './log-source.js'

/**
 * The tiles of a log, each checked before it is used: the unfinished ones make up the signed root, every full one has
 * the hash that the tile above gives for it. At most one tile a level is kept.
 */
export class CheckedTiles {
  private readonly newest = new Map<number, { n: number; hashes: Buffer }>()

  private constructor(
    private readonly source: LogSource,
    private readonly size: number,
  ) {}

  static async open(source: LogSource, { size, root }: TrustedCheckpoint): Promise<CheckedTiles> {
    const tiles = new CheckedTiles(source, size)
    const read = nodesFromTiles(({ level, n }) => tiles.fetch(level, n))
    if (!(await rootOf(read, size)).equals(root)) {
      throw new VerificationFailure(
        'changed',
        'the tiles at the right edge of the tree do not make up the signed root',
      )
    }
    return tiles
  }

  /** Root of the first `size` leaves of the checked tree. */
  rootAt(size: number): Promise<Buffer> {
    return rootOf(
      nodesFromTiles(({ level, n }) => this.read(level, n)),
      size,
    )
  }

  async read(level: number, n: number): Promise<Buffer> {
    const known = this.newest.get(level)
    if (known?.n === n) return known.hashes
    const hashes = await this.fetch(level, n)
    if (tileWidth(level, n, this.size) === TILE_WIDTH) {
      const above = await this.read(level + 1, Math.floor(n / TILE_WIDTH))
      const at = (n % TILE_WIDTH) * HASH_LENGTH
      if (!tileRoot(hashes).equals(above.subarray(at, at + HASH_LENGTH))) {
        throw new VerificationFailure(
          'changed',
          `tile ${tilePath(level, n)} ${this.place(level, n)} is not what the tile above it says`,
        )
      }
    }
    this.newest.set(level, { n, hashes })
    return hashes
  }

  private place(level: number, n: number): string {
    const span = TILE_WIDTH ** (level + 1)
    return `(entries ${n * span} to ${Math.min((n + 1) * span, this.size) - 1})`
  }

  private async fetch(level: number, n: number): Promise<Buffer> {
    const width = tileWidth(level, n, this.size)
    const path = tilePath(level, n, width)
    const hashes = await this.source.find(`/log/tile/${path}`)
    if (hashes?.length !== width * HASH_LENGTH)
      throw new VerificationFailure('changed', `tile ${path} ${this.place(level, n)} is missing or cut`)
    return hashes
  }
}
