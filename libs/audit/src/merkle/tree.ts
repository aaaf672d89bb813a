import { EMPTY_ROOT, nodeHash } from './hash.js'

/** Root of the complete subtree over leaves [index * 2^level, (index + 1) * 2^level). */
export type NodeReader = (level: number, index: number) => Promise<Buffer>

/** A half-open range of leaves. */
interface Range {
  from: number
  to: number
}

/** Largest power of two smaller than `count` (k of RFC 6962 2.1), for count > 1. */
const split = (count: number): number => 2 ** (Math.ceil(Math.log2(count)) - 1)

const isComplete = ({ from, to }: Range): boolean => {
  const count = to - from
  return Number.isInteger(Math.log2(count)) && from % count === 0
}

/** Merkle tree hash of a range (RFC 6962 2.1), from stored nodes where the subtree is complete. */
async function rangeHash(read: NodeReader, range: Range): Promise<Buffer> {
  const count = range.to - range.from
  if (isComplete(range)) return read(Math.log2(count), range.from / count)
  const middle = range.from + split(count)
  const [left, right] = await Promise.all([
    rangeHash(read, { from: range.from, to: middle }),
    rangeHash(read, { from: middle, to: range.to }),
  ])
  return nodeHash(left, right)
}

/** Root of the first `size` leaves. */
export const rootOf = async (read: NodeReader, size: number): Promise<Buffer> =>
  size === 0 ? EMPTY_ROOT : rangeHash(read, { from: 0, to: size })

/** Audit path of a leaf in the tree of `size` leaves, lowest first (RFC 6962 2.1.1). */
export async function inclusionProof(read: NodeReader, index: number, size: number): Promise<Buffer[]> {
  if (!(index >= 0 && index < size)) throw new RangeError(`No leaf ${index} in a tree of ${size}`)
  const path = async ({ from, to }: Range): Promise<Buffer[]> => {
    if (to - from === 1) return []
    const middle = from + split(to - from)
    const [left, right] = [
      { from, to: middle },
      { from: middle, to },
    ]
    return index < middle
      ? [...(await path(left)), await rangeHash(read, right)]
      : [...(await path(right)), await rangeHash(read, left)]
  }
  return path({ from: 0, to: size })
}

/** Proof that the tree of `oldSize` leaves is a prefix of that of `size` (RFC 6962 2.1.2). */
export async function consistencyProof(read: NodeReader, oldSize: number, size: number): Promise<Buffer[]> {
  if (!(oldSize > 0 && oldSize <= size)) throw new RangeError(`No tree of ${oldSize} within one of ${size}`)
  const proof = async ({ from, to }: Range, old: number, whole: boolean): Promise<Buffer[]> => {
    if (old === to) return whole ? [] : [await rangeHash(read, { from, to })]
    const middle = from + split(to - from)
    const [left, right] = [
      { from, to: middle },
      { from: middle, to },
    ]
    return old <= middle
      ? [...(await proof(left, old, whole)), await rangeHash(read, right)]
      : [...(await proof(right, old, false)), await rangeHash(read, left)]
  }
  return proof({ from: 0, to: size }, oldSize, true)
}
