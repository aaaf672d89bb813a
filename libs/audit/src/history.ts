import type { Checkpoint } from './merkle/checkpoint.js'
import { consistencyProof, type NodeReader, rootOf } from './merkle/tree.js'
import { verifyConsistency } from './merkle/verify.js'

/** The tree does not continue what was published: signing it would give two histories to one log. */
export class BrokenHistoryError extends Error {
  override readonly name = 'BrokenHistoryError'
}

const WAY_OUT =
  'It is not signed on. Restore the newer database; if that is lost, give the log a new name (AUDIT_ORIGIN): docs/audit.md, "After a rollback"'

/** Throws BrokenHistoryError where a tree of `size` cannot continue the published one: entries are gone. */
export function refuseRollback(published: Checkpoint, size: number): void {
  if (size >= published.size) return
  throw new BrokenHistoryError(
    `The audit log of the database has ${size} entries, but a checkpoint over ${published.size} was published: the database was set back. ${WAY_OUT}`,
  )
}

/** Root of the tree of `size`, proved to continue the published one; throws BrokenHistoryError where it does not. */
export async function continuedRoot(
  read: NodeReader,
  published: Checkpoint | undefined,
  size: number,
): Promise<Buffer> {
  if (!published || published.size === 0) return rootOf(read, size)
  refuseRollback(published, size)
  // A tile that is missing or cut is a broken history too, of a kind that no proof can be made of.
  const [root, proof] = await Promise.all([
    rootOf(read, size),
    consistencyProof(read, published.size, size),
  ]).catch((error: Error) => {
    if (error.message.includes('is too short')) return [undefined, undefined]
    throw error
  })
  const link = { oldSize: BigInt(published.size), size: BigInt(size), oldRoot: published.root }
  if (!root || !proof || !verifyConsistency({ ...link, proof, root })) {
    throw new BrokenHistoryError(
      `The audit log of the database is not the one that was published: its first ${published.size} entries differ. ${WAY_OUT}`,
    )
  }
  return root
}
