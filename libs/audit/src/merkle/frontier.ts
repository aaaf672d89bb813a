import { EMPTY_ROOT, nodeHash } from './hash.js'

/** Roots of the complete subtrees that make up a growing tree: all that is needed to extend it (RFC 6962 2.1). */
export class Frontier {
  private readonly roots: { height: number; hash: Buffer }[] = []
  size = 0

  append(leaf: Buffer): void {
    this.extend(0, leaf)
  }

  /** Appends a complete subtree of 2^height leaves at once; throws where none can begin at this size. */
  extend(height: number, hash: Buffer): void {
    if (this.size % 2 ** height !== 0)
      throw new RangeError(`No subtree of height ${height} begins at ${this.size}`)
    let node = { height, hash }
    for (let last = this.roots.at(-1); last?.height === node.height; last = this.roots.at(-1)) {
      this.roots.pop()
      node = { height: node.height + 1, hash: nodeHash(last.hash, node.hash) }
    }
    this.roots.push(node)
    this.size += 2 ** height
  }

  root(): Buffer {
    const hashes = this.roots.map(({ hash }) => hash)
    return hashes.length === 0 ? EMPTY_ROOT : hashes.reduceRight((right, left) => nodeHash(left, right))
  }
}
