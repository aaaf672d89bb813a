import { createHash } from 'node:crypto'
import {
  consistencyProof,
  inclusionProof,
  leafHash,
  rootOf,
  storedNodes,
  verifyConsistency,
  verifyInclusion,
} from '#libs/audit'
import { createPool } from '#libs/platform'
import { growTiles } from '../../../libs/audit/src/merkle/growth.js'
import { writeTiles } from '../../../libs/audit/src/tree.sql.js'
import type { Row } from '../report.js'
import type { BenchServer } from './server.js'

const RUNS = 200
const body = (at: number) => Buffer.from(`benchmark entry ${at}`)

/** Tiles of a tree of `size` leaves, in the table where the service reads them; no entries. */
async function storeTree(server: BenchServer, size: number): Promise<void> {
  const leaves = Buffer.concat(Array.from({ length: size }, (_, at) => leafHash(body(at))))
  const tiles = growTiles([], 0, leaves)
  const pool = createPool(server.adminUrl, { applicationName: 'bench', max: 1 })
  await pool.query('ALTER TABLE audit.tile DISABLE TRIGGER ALL; TRUNCATE audit.tile')
  for (let at = 0; at < tiles.length; at += 500) await writeTiles(pool, tiles.slice(at, at + 500))
  await pool.end()
}

/** Mean microseconds of `work` over some runs. */
async function microseconds(work: (run: number) => unknown): Promise<number> {
  for (let run = 0; run < 20; run++) await work(run)
  const start = performance.now()
  for (let run = 0; run < RUNS; run++) await work(run)
  return Math.round(((performance.now() - start) / RUNS) * 1000)
}

/** What a proof costs in a log of this size: hashes in it, tiles read for it from the database, and verifying it. */
export async function measureProofs(server: BenchServer, size: number): Promise<Row> {
  await storeTree(server, size)
  const pool = createPool(server.adminUrl, { applicationName: 'bench', max: 4 })
  let reads = 0
  const counted = {
    query: ((...query: Parameters<typeof pool.query>) => {
      reads++
      return pool.query(...query)
    }) as typeof pool.query,
  }
  const indexOf = (run: number) => createHash('sha256').update(`${run}`).digest().readUInt32BE() % size
  const root = await rootOf(storedNodes(counted), size)
  const index = indexOf(1)
  const proof = await inclusionProof(storedNodes(counted), index, size)
  const claim = { index: BigInt(index), size: BigInt(size), leaf: leafHash(body(index)), proof, root }
  const oldSize = Math.max(1, Math.floor(size * 0.7))
  const link = {
    oldSize: BigInt(oldSize),
    size: BigInt(size),
    oldRoot: await rootOf(storedNodes(counted), oldSize),
    root,
  }
  const chain = await consistencyProof(storedNodes(counted), oldSize, size)
  reads = 0
  const prove = await microseconds((run) => inclusionProof(storedNodes(counted), indexOf(run), size))
  const row = {
    entries: size,
    hashes: proof.length,
    'tiles read': Math.round(reads / (RUNS + 20)),
    'prove µs': prove,
    'verify µs': await microseconds(() => verifyInclusion(claim)),
    'consistency µs': await microseconds(() => consistencyProof(storedNodes(counted), oldSize, size)),
    'verify consistency µs': await microseconds(() => verifyConsistency({ ...link, proof: chain })),
  }
  await pool.end()
  if (!verifyInclusion(claim) || !verifyConsistency({ ...link, proof: chain }))
    throw new Error('A proof does not verify')
  return row
}
