import { type NodeReader, nodesFromTiles } from '#libs/audit'
import type { LogReader } from '../trail/log.js'

/** What was read last, up to a number of things; the least recently used goes first. A failure is not remembered. */
function remember<T>(capacity: number): (name: string, read: () => Promise<T>) => Promise<T> {
  const known = new Map<string, Promise<T>>()
  return (name, read) => {
    const found = known.get(name) ?? read()
    known.delete(name)
    known.set(name, found)
    found.catch(() => known.delete(name))
    if (known.size > capacity) known.delete(known.keys().next().value!)
    return found
  }
}

/**
 * Nodes of the tree for many proofs of one size: each tile is read once while neighbours are proved, and each node is
 * computed once, for proofs of neighbours share all but a few of theirs. About 3 MB.
 */
export function rememberedNodes(log: LogReader): NodeReader {
  const tiles = remember<Buffer>(128)
  const nodes = remember<Buffer>(8_192)
  const read = nodesFromTiles(({ level, n }) =>
    tiles(`${level}/${n}`, async () => (await log.tile(level, n)) ?? Buffer.alloc(0)),
  )
  return (level, index) => nodes(`${level}/${index}`, () => read(level, index))
}
