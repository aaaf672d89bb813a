import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { decryptFile, encryptFile, type KeyProvider } from '#libs/crypto'
import { isUuid, newId } from '#libs/platform'

/** An encrypted file, and what opens it. */
export interface SealedPlace {
  path: string
  key: Uint8Array
  aad: Uint8Array
}

/** Originals hold PHI and are kept apart from what was de-identified. */
export type BlobKind = 'original' | 'deidentified'

/** What it takes to find an encrypted file and to read it; stands in the database, never beside the file. */
export interface Blob {
  id: string
  tenant: string
  kind: BlobKind
  wrappedKey: Buffer
  /** Length and SHA-256 of the plaintext. */
  bytes: number
  sha256: Buffer
}

const KINDS: readonly BlobKind[] = ['original', 'deidentified']
const DRAFT = '.draft'
/** Bytes written or read together. */
const BATCH = 1_048_576
/** Age of a file that vanished while we looked. */
const GONE = Number.POSITIVE_INFINITY

type Identity = Pick<Blob, 'id' | 'tenant' | 'kind'>
const keyContext = ({ id, tenant, kind }: Identity) => JSON.stringify(['blob', id, tenant, kind])

/** Makes the names in a folder durable. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  await folder.sync().finally(() => folder.close())
}

/** Writes a stream in batches, the next of which is made while one is written. */
async function writeAll(file: FileHandle, source: AsyncIterable<Uint8Array>): Promise<void> {
  let batch: Uint8Array[] = []
  let size = 0
  let writing: Promise<unknown> = Promise.resolve()
  const flush = async () => {
    await writing
    writing = writeBatch(file, batch)
    // Awaited before the next; a failure in between must not pass for unhandled.
    writing.catch(() => undefined)
    batch = []
    size = 0
  }
  for await (const part of source) {
    batch.push(part)
    size += part.length
    if (size >= BATCH) await flush()
  }
  await flush()
  await writing
}

/** One writev, and what it left over. */
async function writeBatch(file: FileHandle, parts: Uint8Array[]): Promise<void> {
  if (parts.length === 0) return
  const size = parts.reduce((sum, part) => sum + part.length, 0)
  const { bytesWritten } = await file.writev(parts)
  if (bytesWritten < size) await file.writeFile(Buffer.concat(parts).subarray(bytesWritten))
}

/**
 * Encrypted files on local disk, each under a data key of its own, bound to its id, tenant and kind. Names are
 * ours (UUIDs): nothing that a sender wrote ever becomes part of a path. No plaintext touches the disk.
 */
export class BlobStore {
  private constructor(
    private readonly root: string,
    private readonly keys: KeyProvider,
  ) {}

  static async open(root: string, keys: KeyProvider): Promise<BlobStore> {
    for (const kind of KINDS) await mkdir(join(root, kind), { recursive: true, mode: 0o700 })
    return new BlobStore(root, keys)
  }

  private path({ id, kind }: Pick<Blob, 'id' | 'kind'>): string {
    if (!isUuid(id)) throw new Error('A blob is named by a UUID')
    // The tail of a UUIDv7 is random: the folders fill evenly.
    return join(this.root, kind, id.slice(-2), id)
  }

  /**
   * Encrypts a stream to a new file, one segment in memory at a time; on disk for certain when it resolves, not
   * there at all when it rejects.
   */
  async write(tenant: string, kind: BlobKind, source: AsyncIterable<Uint8Array>): Promise<Blob> {
    const identity: Identity = { id: newId(), tenant, kind }
    const context = keyContext(identity)
    const { plaintext: key, wrapped } = await this.keys.generateDataKey(context)
    const hash = createHash('sha256')
    let bytes = 0
    async function* measured() {
      for await (const chunk of source) {
        hash.update(chunk)
        bytes += chunk.length
        yield chunk
      }
    }
    const path = this.path(identity)
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    await this.writeDurably(path, encryptFile(key, Buffer.from(context), measured()))
    key.fill(0)
    return { ...identity, wrappedKey: wrapped, bytes, sha256: hash.digest() }
  }

  private async writeDurably(path: string, ciphertext: AsyncIterable<Uint8Array>): Promise<void> {
    const draft = `${path}${DRAFT}`
    const file = await open(draft, 'wx', 0o600)
    try {
      await writeAll(file, ciphertext)
      await file.sync()
      await file.close()
      await rename(draft, path)
      await syncFolder(dirname(path))
    } catch (error) {
      await file.close().catch(() => undefined)
      await rm(draft, { force: true })
      throw error
    }
  }

  /** Decrypts a file; a segment comes out only after its tag was checked (else NotAuthenticError). */
  async *read(blob: Blob): AsyncGenerator<Buffer> {
    const context = keyContext(blob)
    const key = await this.keys.unwrap(blob.wrappedKey, context)
    yield* decryptFile(key, Buffer.from(context), createReadStream(this.path(blob), { highWaterMark: BATCH }))
  }

  /** What it takes to read a file at any place, on another thread. */
  async place(blob: Blob): Promise<SealedPlace> {
    const context = keyContext(blob)
    const key = await this.keys.unwrap(blob.wrappedKey, context)
    return { path: this.path(blob), key: Uint8Array.from(key), aad: Buffer.from(context) }
  }

  /** The whole plaintext in memory. */
  async readWhole(blob: Blob): Promise<Buffer> {
    const whole = Buffer.allocUnsafe(blob.bytes)
    let at = 0
    for await (const chunk of this.read(blob)) {
      if (at + chunk.length > whole.length) throw new Error('A blob is longer than it was')
      at += chunk.copy(whole, at)
    }
    if (at !== whole.length) throw new Error('A blob is shorter than it was')
    return whole
  }

  async remove(blob: Pick<Blob, 'id' | 'kind'>): Promise<void> {
    await rm(this.path(blob), { force: true })
  }

  /**
   * Removes files that nobody refers to and that are older than `graceMs`: what crashed uploads and runs left.
   * `known` tells which of the given ids are referred to. Returns how many were removed.
   */
  async collect(
    known: (ids: string[]) => Promise<Set<string>>,
    graceMs: number,
    now: number,
  ): Promise<number> {
    let removed = 0
    for (const kind of KINDS) {
      for (const folder of await readdir(join(this.root, kind))) {
        const path = join(this.root, kind, folder)
        const old = await this.olderThan(path, now - graceMs)
        const kept = await known(old.filter(isUuid))
        const garbage = old.filter((name) => !kept.has(name))
        for (const name of garbage) await rm(join(path, name), { force: true })
        removed += garbage.length
      }
    }
    return removed
  }

  private async olderThan(folder: string, time: number): Promise<string[]> {
    const names = (await readdir(folder)).filter((name) => isUuid(name.replace(DRAFT, '')))
    const ages = await Promise.all(
      names.map(async (name) => (await stat(join(folder, name)).catch(() => undefined))?.mtimeMs ?? GONE),
    )
    return names.filter((_, at) => (ages[at] ?? 0) < time)
  }
}
