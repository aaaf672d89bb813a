import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { shared } from '../../../../test/support/shared.js'
import { decodeBundle, encodeBundle } from './bundle.js'
import { checkpointText, parseCheckpoint, proofText } from './checkpoint.js'
import { Frontier } from './frontier.js'
import { growTiles, unfinishedTiles } from './growth.js'
import { EMPTY_ROOT, leafHash, nodeHash } from './hash.js'
import {
  cosign,
  cosignatureKey,
  isSignedBy,
  isWitnessKey,
  noteSigner,
  parseNote,
  parseVerificationKey,
  signatureTime,
  signNote,
  verificationKey,
} from './note.js'
import { nodesFromTiles, parseTileNumber, tileNumberPath, tileWidth } from './tile.js'
import { consistencyProof, inclusionProof, type NodeReader, rootOf } from './tree.js'
import { verifyConsistency, verifyInclusion } from './verify.js'

/** The naive tree of RFC 6962 2.1, straight from its definition. */
function naiveRoot(leaves: Buffer[]): Buffer {
  if (leaves.length === 0) return EMPTY_ROOT
  if (leaves.length === 1) return leaves[0]!
  let k = 1
  while (k * 2 < leaves.length) k *= 2
  return nodeHash(naiveRoot(leaves.slice(0, k)), naiveRoot(leaves.slice(k)))
}

const leavesOf = (count: number) =>
  Array.from({ length: count }, (_, at) => leafHash(Buffer.from(`entry ${at}`)))
const nodesOf =
  (leaves: Buffer[]): NodeReader =>
  async (level, index) =>
    naiveRoot(leaves.slice(index * 2 ** level, (index + 1) * 2 ** level))

test('proofs of every leaf and every older size verify, and fail for anything else', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 70 }), fc.nat(), fc.nat(), async (size, a, b) => {
      const leaves = leavesOf(size)
      const read = nodesOf(leaves)
      const [index, oldSize] = [a % size, (b % size) + 1]
      const root = await rootOf(read, size)
      expect(root.equals(naiveRoot(leaves))).toBe(true)
      const proof = await inclusionProof(read, index, size)
      const claim = { index: BigInt(index), size: BigInt(size), leaf: leaves[index]!, proof, root }
      expect(verifyInclusion(claim)).toBe(true)
      expect(verifyInclusion({ ...claim, leaf: leafHash(Buffer.from('other')) })).toBe(false)
      if (size > 1) expect(verifyInclusion({ ...claim, index: BigInt((index + 1) % size) })).toBe(false)
      expect(verifyInclusion({ ...claim, proof: [...proof, root] })).toBe(false)
      const oldRoot = naiveRoot(leaves.slice(0, oldSize))
      const link = {
        oldSize: BigInt(oldSize),
        size: BigInt(size),
        proof: await consistencyProof(read, oldSize, size),
        oldRoot,
        root,
      }
      expect(verifyConsistency(link)).toBe(true)
      expect(verifyConsistency({ ...link, oldRoot: leafHash(Buffer.from('forged')) })).toBe(false)
    }),
    { numRuns: 60 },
  )
})

test('a frontier that grows leaf by leaf has the root of the naive tree at every size', () => {
  const frontier = new Frontier()
  expect(frontier.root().equals(EMPTY_ROOT)).toBe(true)
  const leaves = leavesOf(70)
  for (const [at, leaf] of leaves.entries()) {
    frontier.append(leaf)
    expect(frontier.root().equals(naiveRoot(leaves.slice(0, at + 1)))).toBe(true)
  }
})

test('tile numbers are written and read as the specification says', () => {
  expect(tileNumberPath(1_234_067)).toBe('x001/x234/067')
  expect(tileNumberPath(0)).toBe('000')
  for (const wrong of ['0', 'x001/234/067', '000/001', 'x000/001', '../000', '1e3']) {
    expect(parseTileNumber(wrong), wrong).toBeUndefined()
  }
  fc.assert(fc.property(fc.nat(2 ** 40), (n) => parseTileNumber(tileNumberPath(n)) === n))
})

test('a bundle holds its entries, and a cut one is refused', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 })), (entries) => {
      const bundle = encodeBundle(entries)
      expect(decodeBundle(bundle).map((entry) => [...entry])).toEqual(entries.map((entry) => [...entry]))
      if (bundle.length > 0) expect(() => decodeBundle(bundle.subarray(0, -1))).toThrow()
    }),
  )
})

const golden = shared('vectors/golden.json')
describe.skipIf(!golden)('published known answers', () => {
  const known = golden ? JSON.parse(readFileSync(golden, 'utf8')) : {}

  test('hashes and the golden tree', async () => {
    const { rfc6962_hasher: hashes, golden_tree: tree } = known
    expect(EMPTY_ROOT.toString('hex')).toBe(hashes.empty_root)
    expect(leafHash(Buffer.alloc(0)).toString('hex')).toBe(hashes.empty_leaf)
    expect(leafHash(Buffer.from('L123456')).toString('hex')).toBe(hashes.leaf_L123456)
    expect(nodeHash(Buffer.from('N123'), Buffer.from('N456')).toString('hex')).toBe(hashes.node_N123_N456)
    const leaves = tree.leaf_inputs_hex.map((text: string) => leafHash(Buffer.from(text, 'hex')))
    for (const [size, root] of tree.roots_by_size.entries()) {
      expect((await rootOf(nodesOf(leaves), size)).toString('hex')).toBe(root)
    }
  })

  test('signed notes are made byte for byte and verified', () => {
    for (const { skey, vkey, text, signature_line: line } of known.signed_note) {
      const key = /^PRIVATE\+KEY\+([^+]+)\+[0-9a-f]{8}\+(.+)$/.exec(skey ?? '')
      if (!key) continue
      const [name, seed] = [key[1]!, Buffer.from(key[2]!, 'base64').subarray(1)]
      const signer = noteSigner(name, seed)
      expect(verificationKey(signer)).toBe(vkey)
      const note = signNote(signer, text)
      expect(note).toBe(`${text}\n${line}`)
      expect(isSignedBy(parseNote(note), parseVerificationKey(vkey))).toBe(true)
      expect(isSignedBy(parseNote(note.replace(text[0], 'X')), parseVerificationKey(vkey))).toBe(false)
    }
    for (const bad of known.bad_vkeys.list) expect(() => parseVerificationKey(bad)).toThrow()
    const good: string = known.signed_note[0].vkey
    for (let at = 0; at < good.length; at++) {
      const next = String.fromCharCode(good.charCodeAt(at) + 1)
      for (const bad of [
        good.slice(0, at),
        good.slice(at + 1),
        good.slice(0, at) + next + good.slice(at + 1),
      ])
        expect(() => parseVerificationKey(bad), bad).toThrow()
    }
  })

  test('keys of other witnesses are read, and a tree note of the Go checksum database as a checkpoint', () => {
    for (const key of known.cosignature_vkeys.list) expect(isWitnessKey(parseVerificationKey(key))).toBe(true)
    const { text, n } = known.tree_note
    expect(parseCheckpoint(text)).toEqual({
      origin: 'go.sum database tree',
      size: n,
      root: leafHash(Buffer.from('hello world')),
    })
    expect(checkpointText(parseCheckpoint(text))).toBe(text)
  })

  test('a checkpoint pair of another witness', () => {
    const { vkey, init, next } = known.checkpoint_pair
    for (const note of [init, next])
      expect(isSignedBy(parseNote(note), parseVerificationKey(vkey))).toBe(true)
    expect(parseCheckpoint(parseNote(next).text)).toMatchObject({ origin: 'monkeys', size: 8 })
  })
})

const probes = shared('vectors/transparency-dev-merkle/testdata')
const filesBelow = (folder: string) =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.json'))
    .map((name) => join(folder, name))
/** Numbers up to 2^64 - 1 stand in the probes: JSON.parse would round them. */
const readProbe = (file: string) =>
  JSON.parse(readFileSync(file, 'utf8').replace(/"(leafIdx|treeSize|size1|size2)":\s*(\d+)/g, '"$1": "$2"'))
const bytes = (text: string | null) => Buffer.from(text ?? '', 'base64')
const hashes = (proof: string[] | null) => (proof ?? []).map(bytes)

test.skipIf(!probes)('inclusion probes: right ones pass, all others fail', () => {
  const files = filesBelow(join(probes!, 'inclusion'))
  expect(files.length).toBe(98)
  for (const file of files) {
    const p = readProbe(file)
    const claim = {
      index: BigInt(p.leafIdx),
      size: BigInt(p.treeSize),
      leaf: bytes(p.leafHash),
      proof: hashes(p.proof),
      root: bytes(p.root),
    }
    expect(verifyInclusion(claim), file).toBe(!p.wantErr)
  }
})

test.skipIf(!probes)('consistency probes: right ones pass, all others fail', () => {
  const files = filesBelow(join(probes!, 'consistency'))
  expect(files.length).toBe(98)
  for (const file of files) {
    const p = readProbe(file)
    const claim = {
      oldSize: BigInt(p.size1),
      size: BigInt(p.size2),
      proof: hashes(p.proof),
      oldRoot: bytes(p.root1),
      root: bytes(p.root2),
    }
    expect(verifyConsistency(claim), file).toBe(!p.wantErr)
  }
})

const worked = shared('vectors/worked-example')
test.skipIf(!worked).each(['eight', 'n300', 'n70000'])(
  'the worked example %s, from its tiles',
  async (name) => {
    const example = JSON.parse(readFileSync(join(worked!, 'vectors.json'), 'utf8'))
    const folder = join(worked!, name)
    const checkpoint = readFileSync(join(folder, 'checkpoint'), 'utf8')
    const { size, root, origin } = parseCheckpoint(parseNote(checkpoint).text)
    const signer = noteSigner(example.origin, Buffer.from(example.logSeedHex, 'hex'))
    expect(signNote(signer, checkpointText({ origin, size, root }))).toBe(checkpoint)
    const cosigned = readFileSync(join(folder, 'checkpoint.cosigned'), 'utf8')
    for (const key of [example.logVkey, example.witnessVkey]) {
      expect(isSignedBy(parseNote(cosigned), parseVerificationKey(key))).toBe(true)
    }
    const witness = noteSigner(example.witnessVkey.split('+')[0], Buffer.from(example.witnessSeedHex, 'hex'))
    expect(cosignatureKey(witness)).toBe(example.witnessVkey)
    const time = signatureTime(parseNote(cosigned), parseVerificationKey(example.witnessVkey))!
    expect(checkpoint + cosign(witness, parseNote(checkpoint).text, time)).toBe(cosigned)
    const read = nodesFromTiles(async ({ level, n }) => {
      const width = tileWidth(level, n, size)
      const file = join(
        folder,
        'tile',
        String(level),
        tileNumberPath(n) + (width === 256 ? '' : `.p/${width}`),
      )
      return readFileSync(file)
    })
    expect((await rootOf(read, size)).equals(root)).toBe(true)
    const published = readFileSync(join(folder, 'entry-5.tlog-proof'), 'utf8')
    expect(proofText(5, await inclusionProof(read, 5, size), cosigned)).toBe(published)
    const consistency = readFileSync(join(folder, `consistency-3-${size}.txt`), 'utf8')
    const lines = consistency.slice('old 3\n'.length, consistency.indexOf('\n\n')).split('\n')
    expect((await consistencyProof(read, 3, size)).map((hash) => hash.toString('base64'))).toEqual(lines)
  },
)

const tessera = shared('vectors/tessera-testlog/testdata/log')
test.skipIf(!tessera)('a log that Tessera wrote: checkpoints, tiles and entries agree', async () => {
  const vkey = parseVerificationKey(
    'example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx',
  )
  const newest = parseCheckpoint(parseNote(readFileSync(join(tessera!, 'checkpoint'), 'utf8')).text)
  const partial = (level: string, size: number) =>
    readFileSync(join(tessera!, 'tile', level, `000.p/${size}`))
  const entries = decodeBundle(partial('entries', newest.size))
  const leaves = entries.map((entry) => leafHash(entry))
  expect(Buffer.concat(leaves).equals(partial('0', newest.size))).toBe(true)
  for (const name of readdirSync(tessera!).filter((file) => file.startsWith('checkpoint'))) {
    const note = parseNote(readFileSync(join(tessera!, name), 'utf8'))
    const { size, root } = parseCheckpoint(note.text)
    expect(isSignedBy(note, vkey), name).toBe(true)
    expect((await rootOf(nodesOf(leaves), size)).equals(root), name).toBe(true)
    // The private half of its key is published in the documentation of Tessera, for tests.
    const seed = Buffer.from('AeymY/SZAX0jZcJ8enZ5FY1Dz+wTML2yWSkK+9DSF3eg', 'base64').subarray(1)
    const again = signNote(noteSigner('example.com/log/testdata', seed), note.text)
    expect(again, name).toBe(readFileSync(join(tessera!, name), 'utf8'))
  }
})

test('tiles that grow in any steps are those of a log that was written at once', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 8 }), (steps) => {
      const stored = new Map<string, Buffer>()
      const leaves = leavesOf(steps.reduce((sum, step) => sum + step))
      let size = 0
      for (const step of steps) {
        const known = unfinishedTiles(size).map(({ level, n }) => ({
          level,
          n,
          hashes: stored.get(`${level}/${n}`)!,
        }))
        const grown = growTiles(known, size, Buffer.concat(leaves.slice(size, size + step)))
        for (const { level, n, hashes } of grown) stored.set(`${level}/${n}`, hashes)
        size += step
      }
      const whole = growTiles([], 0, Buffer.concat(leaves))
      expect(stored.size).toBe(whole.length)
      for (const { level, n, hashes } of whole) expect(stored.get(`${level}/${n}`)?.equals(hashes)).toBe(true)
    }),
    { numRuns: 30 },
  )
  expect(() => growTiles([], 5, leafHash(Buffer.from('x')))).toThrow(/does not end at 5/)
})
