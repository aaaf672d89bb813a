import type pg from 'pg'
import { Cosigners } from './cosigning.js'
import { BrokenHistoryError, continuedRoot, refuseRollback } from './history.js'
import { checkpointText } from './merkle/checkpoint.js'
import {
  isSignedBy,
  type NoteSigner,
  parseNote,
  parseVerificationKey,
  signNote,
  verificationKey,
} from './merkle/note.js'
import { type PublishedFile, readSigned, type SignedCheckpoint } from './published-file.js'
import { newestCheckpoint, storeCheckpoint, storedNodes, treeSize } from './tree.sql.js'

interface Options {
  pool: pg.Pool
  signer: NoteSigner
  published: PublishedFile
  cosigners: Cosigners
}

/**
 * Signs and publishes the tree: committed tiles -> signature -> file outside the database -> witnesses -> database, from
 * where it is served. What does not continue the published history is never signed.
 */
export class Publisher {
  private stored = false

  constructor(private readonly options: Options) {}

  /** Throws BrokenHistoryError where the tree cannot continue what was published. */
  async examine(): Promise<void> {
    const { pool, published } = this.options
    const newest = await this.newest()
    if (newest && !this.isOwn(newest.note))
      throw new BrokenHistoryError(`The checkpoint in ${published.path} is not signed by the key of the log`)
    await continuedRoot(storedNodes(pool), newest, await treeSize(pool))
  }

  /** As `examine`, by the size alone: cheap enough for every tick. */
  async refuseRollback(): Promise<void> {
    const published = await this.newest()
    if (published) refuseRollback(published, await treeSize(this.options.pool))
  }

  async publish(): Promise<void> {
    const { pool, published, cosigners } = this.options
    const size = await treeSize(pool)
    const before = await this.newest()
    if (size === 0) return
    const read = storedNodes(pool)
    const next =
      before?.size === size ? before : await this.sign(await continuedRoot(read, before, size), size)
    if (next !== before) {
      published.write(next.note)
      this.stored = false
    }
    const lines = await cosigners.collect(next, read)
    if (this.stored && lines.length === 0) return
    await storeCheckpoint(pool, next, lines)
    this.stored = true
  }

  private isOwn(note: string): boolean {
    return isSignedBy(parseNote(note), parseVerificationKey(verificationKey(this.options.signer)))
  }

  private sign(root: Buffer, size: number): SignedCheckpoint {
    const { signer } = this.options
    return readSigned(signNote(signer, checkpointText({ origin: signer.name, size, root })))
  }

  /**
   * The newest published checkpoint. Where the file is new (a first start, or one after an upgrade), that of the
   * database stands in for it once.
   */
  private async newest(): Promise<SignedCheckpoint | undefined> {
    const { pool, published, signer } = this.options
    const kept = published.read()
    if (kept) {
      if (kept.origin !== signer.name)
        throw new BrokenHistoryError(`${published.path} is of another log, ${kept.origin}`)
      return kept
    }
    const note = await newestCheckpoint(pool)
    if (note === undefined) return undefined
    const known = readSigned(note)
    if (known.origin !== signer.name) return undefined
    if (!this.isOwn(note))
      throw new BrokenHistoryError(
        'The newest checkpoint of the database is not signed by the key of the log',
      )
    published.write(note)
    return known
  }
}
