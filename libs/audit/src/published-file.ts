import { existsSync, readFileSync } from 'node:fs'
import { writeDurably } from '#libs/platform'
import { type Checkpoint, parseCheckpoint } from './merkle/checkpoint.js'
import { parseNote } from './merkle/note.js'

/** A checkpoint with the signed note that it comes from. */
export interface SignedCheckpoint extends Checkpoint {
  note: string
}

/** Reads a signed note as checkpoint; throws where it is malformed. */
export const readSigned = (note: string): SignedCheckpoint => ({
  ...parseCheckpoint(parseNote(note).text),
  note,
})

/**
 * The newest checkpoint that left the house, in a file outside the database: whoever sets the database back does not
 * set this back with it. It is written before anybody else gets to see the checkpoint.
 */
export class PublishedFile {
  private newest: SignedCheckpoint | undefined

  constructor(readonly path: string) {
    if (!existsSync(path)) return
    try {
      this.newest = readSigned(readFileSync(path, 'utf8'))
    } catch {
      throw new Error(`${path} holds no checkpoint: restore it, never delete it`)
    }
  }

  read(): SignedCheckpoint | undefined {
    return this.newest
  }

  write(note: string): void {
    writeDurably(this.path, note)
    this.newest = readSigned(note)
  }
}
