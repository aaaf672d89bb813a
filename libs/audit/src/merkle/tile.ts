import { HASH_LENGTH, nodeHash } from './hash.js'
import type { NodeReader } from './tree.js'

/** Hashes in a full tile, and levels of the tree that a tile spans (C2SP tlog-tiles). */
export const TILE_WIDTH = 256
export const TILE_HEIGHT = 8

/** Where a tile stands: level 0 holds leaf hashes, each higher level one hash for a full tile below. */
export interface TileAddress {
  level: number
  n: number
}

/** Tile number as path elements of three digits, all but the last marked with x: 1234067 is x001/x234/067. */
export function tileNumberPath(n: number): string {
  const groups: string[] = []
  for (let rest = n; groups.length === 0 || rest > 0; rest = Math.floor(rest / 1000)) {
    groups.unshift(String(rest % 1000).padStart(3, '0'))
  }
  return groups.map((group, at) => (at < groups.length - 1 ? `x${group}` : group)).join('/')
}

/** Reads what tileNumberPath wrote; undefined for any other text. */
export function parseTileNumber(path: string): number | undefined {
  if (!/^(x\d{3}\/){0,4}\d{3}$/.test(path)) return undefined
  const n = Number(path.replaceAll(/[x/]/g, ''))
  return tileNumberPath(n) === path ? n : undefined
}

/** Path of a tile below `tile/`, with `.p/<width>` where it is not full. */
export function tilePath(level: number | 'entries', n: number, width = TILE_WIDTH): string {
  return `${level}/${tileNumberPath(n)}${width === TILE_WIDTH ? '' : `.p/${width}`}`
}

/** How many hashes tile n of a level holds in the tree of `size` leaves: 256, fewer, or 0 where there is none. */
export function tileWidth(level: number, n: number, size: number): number {
  const hashes = Math.floor(size / TILE_WIDTH ** level)
  return Math.max(0, Math.min(TILE_WIDTH, hashes - n * TILE_WIDTH))
}

/** Root of the complete subtree of 2^height hashes that begins at `from` within a tile. */
function within(hashes: Buffer, from: number, height: number): Buffer {
  if (height === 0) return hashes.subarray(from * HASH_LENGTH, (from + 1) * HASH_LENGTH)
  const half = 2 ** (height - 1)
  return nodeHash(within(hashes, from, height - 1), within(hashes, from + half, height - 1))
}

/** Hash of a full tile: one hash of the tile above it. */
export const tileRoot = (hashes: Buffer): Buffer => within(hashes, 0, TILE_HEIGHT)

/** Reads nodes of the tree out of tiles. */
export function nodesFromTiles(readTile: (address: TileAddress) => Promise<Buffer>): NodeReader {
  return async (level, index) => {
    const tileLevel = Math.floor(level / TILE_HEIGHT)
    const height = level % TILE_HEIGHT
    const first = index * 2 ** height
    const hashes = await readTile({ level: tileLevel, n: Math.floor(first / TILE_WIDTH) })
    const from = first % TILE_WIDTH
    if (hashes.length < (from + 2 ** height) * HASH_LENGTH)
      throw new Error(`Tile ${tileLevel}/${Math.floor(first / TILE_WIDTH)} is too short`)
    return within(hashes, from, height)
  }
}
