import { Frontier } from './frontier.js'
import type { NodeReader } from './tree.js'

/** A complete subtree: leaves [index * 2^level, (index + 1) * 2^level). */
interface Subtree {
  level: number
  index: number
}

/** The fewest complete subtrees that make up leaves [from, to), in log order. */
export function subtreesOf(from: number, to: number): Subtree[] {
  const found: Subtree[] = []
  for (let at = from; at < to; ) {
    let level = 0
    while (at % 2 ** (level + 1) === 0 && at + 2 ** (level + 1) <= to) level++
    found.push({ level, index: at / 2 ** level })
    at += 2 ** level
  }
  return found
}

/** Hashes of what lies left and right of leaves [from, to) in a tree, each in log order. */
export interface RangeProof {
  left: Buffer[]
  right: Buffer[]
}

/** Proves that leaves [from, to) are those of the tree of `size`: with them, the hashes make up its root. */
export async function rangeProof(
  read: NodeReader,
  { from, to, size }: { from: number; to: number; size: number },
): Promise<RangeProof> {
  if (!(0 <= from && from <= to && to <= size)) throw new RangeError(`No leaves ${from} to ${to} in ${size}`)
  const hashes = (a: number, b: number) =>
    Promise.all(subtreesOf(a, b).map(({ level, index }) => read(level, index)))
  return { left: await hashes(0, from), right: await hashes(to, size) }
}

/** Appends leaves [frontier.size, to) as complete subtrees; false where their number is not what it must be. */
export function extendTo(frontier: Frontier, to: number, hashes: readonly Buffer[]): boolean {
  const subtrees = subtreesOf(frontier.size, to)
  if (subtrees.length !== hashes.length) return false
  for (const [at, { level }] of subtrees.entries()) frontier.extend(level, hashes[at]!)
  return true
}

/** The tree up to `size`, of which only the subtrees are known; undefined where these are too many or too few. */
export function frontierAt(size: number, hashes: readonly Buffer[]): Frontier | undefined {
  const frontier = new Frontier()
  return extendTo(frontier, size, hashes) ? frontier : undefined
}
