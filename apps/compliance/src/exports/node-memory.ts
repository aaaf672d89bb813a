import type { NodeReader } from '#libs/audit'

/**
 * Remembers the nodes read last: proofs of neighbours share all but a few of theirs, and a node near the root is
 * asked for by every one of them.
 */
export function rememberNodes(read: NodeReader, capacity = 16_384): NodeReader {
  const known = new Map<string, Promise<Buffer>>()
  return (level, index) => {
    const name = `${level}/${index}`
    const held = known.get(name)
    if (held) {
      known.delete(name)
      known.set(name, held)
      return held
    }
    const node = read(level, index)
    known.set(name, node)
    node.catch(() => known.delete(name))
    if (known.size > capacity) known.delete(known.keys().next().value!)
    return node
  }
}
