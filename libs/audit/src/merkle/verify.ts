import { HASH_LENGTH, nodeHash } from './hash.js'

/** Sizes and indices come from whoever sent the proof: they are taken as BigInt, up to 2^64 - 1. */
const LIMIT = 1n << 64n

const bitLength = (value: bigint): number => (value === 0n ? 0 : value.toString(2).length)
const ones = (value: bigint): number => value.toString(2).replaceAll('0', '').length
const areHashes = (hashes: readonly Uint8Array[]): boolean =>
  hashes.every((hash) => hash.length === HASH_LENGTH)

/** Lengths of the two parts of an audit path: below and above where the leaf's path leaves the right border. */
function pathLengths(index: bigint, size: bigint): { inner: number; border: number } {
  const inner = bitLength(index ^ (size - 1n))
  return { inner, border: ones(index >> BigInt(inner)) }
}

function chainInner(seed: Uint8Array, proof: readonly Uint8Array[], index: bigint): Uint8Array {
  return proof.reduce<Uint8Array>((hash, sibling, at) => {
    const right = (index >> BigInt(at)) & 1n
    return right === 0n ? nodeHash(hash, sibling) : nodeHash(sibling, hash)
  }, seed)
}

const chainInnerRight = (seed: Uint8Array, proof: readonly Uint8Array[], index: bigint): Uint8Array =>
  proof.reduce<Uint8Array>(
    (hash, sibling, at) => (((index >> BigInt(at)) & 1n) === 1n ? nodeHash(sibling, hash) : hash),
    seed,
  )

const chainBorder = (seed: Uint8Array, proof: readonly Uint8Array[]): Uint8Array =>
  proof.reduce<Uint8Array>((hash, sibling) => nodeHash(sibling, hash), seed)

const equal = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0

interface Inclusion {
  index: bigint
  size: bigint
  leaf: Uint8Array
  proof: readonly Uint8Array[]
  root: Uint8Array
}

/** The root that an audit path leads to (RFC 9162 2.1.3.2), or undefined where it has no meaning. */
export function rootFromInclusion({
  index,
  size,
  leaf,
  proof,
}: Omit<Inclusion, 'root'>): Uint8Array | undefined {
  if (index < 0n || index >= size || size >= LIMIT || leaf.length !== HASH_LENGTH || !areHashes(proof))
    return undefined
  const { inner, border } = pathLengths(index, size)
  if (proof.length !== inner + border) return undefined
  return chainBorder(chainInner(leaf, proof.slice(0, inner), index), proof.slice(inner))
}

/** Whether a leaf is at an index of the tree with this size and root. */
export function verifyInclusion(claim: Inclusion): boolean {
  const root = rootFromInclusion(claim)
  return root !== undefined && equal(root, claim.root)
}

interface Consistency {
  oldSize: bigint
  size: bigint
  proof: readonly Uint8Array[]
  oldRoot: Uint8Array
  root: Uint8Array
}

/** Whether one tree is a prefix of another (RFC 9162 2.1.4.2): nothing was changed or taken away. */
export function verifyConsistency({ oldSize, size, proof, oldRoot, root }: Consistency): boolean {
  if (oldSize <= 0n || oldSize > size || size >= LIMIT || !areHashes(proof)) return false
  if (oldSize === size) return proof.length === 0 && equal(oldRoot, root)
  let shift = 0
  while (((oldSize >> BigInt(shift)) & 1n) === 0n) shift++
  const isPowerOfTwo = oldSize === 1n << BigInt(shift)
  const lengths = pathLengths(oldSize - 1n, size)
  const inner = lengths.inner - shift
  const seed = isPowerOfTwo ? oldRoot : proof[0]
  const path = isPowerOfTwo ? proof : proof.slice(1)
  if (seed === undefined || path.length !== inner + lengths.border) return false
  const mask = (oldSize - 1n) >> BigInt(shift)
  const old = chainBorder(chainInnerRight(seed, path.slice(0, inner), mask), path.slice(inner))
  const current = chainBorder(chainInner(seed, path.slice(0, inner), mask), path.slice(inner))
  return equal(old, oldRoot) && equal(current, root)
}
