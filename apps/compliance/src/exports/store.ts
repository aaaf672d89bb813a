import { createReadStream } from 'node:fs'
import { mkdir, open, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type DataKey, decryptFile, encryptFile } from '#libs/crypto'
import { isUuid } from '#libs/platform'
import type { Part } from './exports.sql.js'

type Piece = Pick<Part, 'file' | 'n' | 'name'>

/** A part belongs to one place of one file of one export: moved anywhere else, it does not open. */
const contextOf = (id: string, { file, n }: Piece): Buffer =>
  Buffer.from(JSON.stringify(['audit-export', id, file, n]))

/** Encrypted parts of exports on local disk, one folder an export. No plaintext touches the disk. */
export class ExportStore {
  constructor(private readonly root: string) {}

  private folder(id: string): string {
    if (!isUuid(id)) throw new Error('An export is named by a UUID')
    return join(this.root, id)
  }

  /** Writes a part; on the disk for certain when it resolves. */
  async write({ key }: DataKey, id: string, piece: Piece, bytes: Buffer): Promise<void> {
    const path = join(this.folder(id), piece.name)
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    const draft = `${path}.draft`
    const file = await open(draft, 'w', 0o600)
    try {
      const once = (async function* () {
        yield bytes
      })()
      for await (const segment of encryptFile(key, contextOf(id, piece), once)) await file.writeFile(segment)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(draft, path)
    const folder = await open(dirname(path), 'r')
    await folder.sync().finally(() => folder.close())
  }

  /** Decrypts parts one after the other; what was changed, cut or moved ends in NotAuthenticError. */
  async *read({ key }: DataKey, id: string, parts: readonly Piece[]): AsyncGenerator<Buffer> {
    for (const piece of parts) {
      const ciphertext = createReadStream(join(this.folder(id), piece.name))
      yield* decryptFile(key, contextOf(id, piece), ciphertext)
    }
  }

  async remove(id: string): Promise<void> {
    await rm(this.folder(id), { recursive: true, force: true })
  }
}
