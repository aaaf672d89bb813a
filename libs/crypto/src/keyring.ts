import { randomBytes } from 'node:crypto'
import {
  closeSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { z } from 'zod'
import { hkdfExpand } from './hkdf.js'
import type { GeneratedKey, KeyProvider } from './provider.js'
import { NotAuthenticError, XAES_NONCE_LENGTH, xaesOpen, xaesSeal } from './xaes.js'

const Key = z
  .string()
  .transform((text) => Buffer.from(text, 'base64'))
  .refine((key) => key.length === 32, 'must be 32 bytes')
const KeyringFile = z.strictObject({
  format: z.literal(1),
  /** Key-encryption keys, oldest first; the last one wraps. */
  keys: z.array(z.strictObject({ version: z.int().min(1), key: Key })).min(1),
  /** Root of the keys that must not turn over with the others: blind indexes, pseudonyms. */
  root: Key,
})

const FORMAT = 1
const HEADER_LENGTH = 5

const newFile = () => ({
  format: 1,
  keys: [{ version: 1, key: randomBytes(32).toString('base64') }],
  root: randomBytes(32).toString('base64'),
})

function writeDurably(path: string, content: unknown): string {
  const draft = `${path}.${process.pid}.draft`
  const file = openSync(draft, 'w', 0o600)
  writeSync(file, `${JSON.stringify(content, null, 2)}\n`)
  fsyncSync(file)
  closeSync(file)
  return draft
}

function syncFolder(path: string): void {
  const folder = openSync(dirname(path), 'r')
  fsyncSync(folder)
  closeSync(folder)
}

/** Creates the file whole or not at all; of services that start together one wins, the others use its file. */
function createFile(path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const draft = writeDurably(path, newFile())
  try {
    linkSync(draft, path)
    syncFolder(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    rmSync(draft, { force: true })
  }
}

function readFile(path: string): z.infer<typeof KeyringFile> {
  const { mode } = statSync(path)
  if (mode & 0o077) throw new Error(`The keyring ${path} can be read by others: chmod 600 it`)
  const result = KeyringFile.safeParse(JSON.parse(readFileSync(path, 'utf8')))
  if (!result.success) throw new Error(`The keyring ${path} is damaged: restore it from a backup`)
  return result.data
}

/** Key provider over a local file (mode 0600): the default where there is no key management service. */
export class LocalKeyring implements KeyProvider {
  private constructor(
    private readonly path: string,
    private file: z.infer<typeof KeyringFile>,
  ) {}

  /** Opens the keyring, creating it on first use; throws when others can read it or it is damaged. */
  static open(path: string): LocalKeyring {
    try {
      return new LocalKeyring(path, readFile(path))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
    createFile(path)
    return new LocalKeyring(path, readFile(path))
  }

  /** Adds a key-encryption key, which wraps from now on; the older ones still unwrap. */
  rotate(): number {
    const current = readFile(this.path)
    const version = Math.max(...current.keys.map((key) => key.version)) + 1
    const keys = [...current.keys, { version, key: randomBytes(32) }]
    const content = {
      format: FORMAT,
      keys: keys.map(({ version, key }) => ({ version, key: key.toString('base64') })),
      root: current.root.toString('base64'),
    }
    renameSync(writeDurably(this.path, content), this.path)
    syncFolder(this.path)
    this.file = readFile(this.path)
    return version
  }

  /** A 32-byte key for one lasting purpose, the same in every process and after every rotation. */
  derive(purpose: string): Buffer {
    return hkdfExpand('sha256', this.file.root, Buffer.from(`vigil ${purpose}`), 32)
  }

  async generateDataKey(context: string): Promise<GeneratedKey> {
    const plaintext = randomBytes(32)
    return { plaintext, wrapped: await this.wrap(plaintext, context) }
  }

  async wrap(key: Uint8Array, context: string): Promise<Buffer> {
    const { version, key: kek } = this.file.keys.at(-1)!
    const header = Buffer.alloc(HEADER_LENGTH)
    header.writeUInt8(FORMAT, 0)
    header.writeUInt32BE(version, 1)
    const nonce = randomBytes(XAES_NONCE_LENGTH)
    return Buffer.concat([
      header,
      nonce,
      xaesSeal(kek, nonce, key, Buffer.concat([header, Buffer.from(context)])),
    ])
  }

  async unwrap(wrapped: Uint8Array, context: string): Promise<Buffer> {
    const bytes = Buffer.from(wrapped)
    if (bytes.length < HEADER_LENGTH + XAES_NONCE_LENGTH || bytes[0] !== FORMAT) throw new NotAuthenticError()
    const kek = this.keyOf(bytes.readUInt32BE(1))
    const nonce = bytes.subarray(HEADER_LENGTH, HEADER_LENGTH + XAES_NONCE_LENGTH)
    const aad = Buffer.concat([bytes.subarray(0, HEADER_LENGTH), Buffer.from(context)])
    return xaesOpen(kek, nonce, bytes.subarray(HEADER_LENGTH + XAES_NONCE_LENGTH), aad)
  }

  async rewrap(wrapped: Uint8Array, context: string): Promise<Buffer> {
    return this.wrap(await this.unwrap(wrapped, context), context)
  }

  /** A version that another process added since we read the file is looked up there. */
  private keyOf(version: number): Buffer {
    const find = () => this.file.keys.find((key) => key.version === version)?.key
    const known = find()
    if (known) return known
    this.file = readFile(this.path)
    const added = find()
    if (!added) throw new NotAuthenticError()
    return added
  }
}
