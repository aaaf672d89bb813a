import { createPublicKey, type KeyObject, randomBytes } from 'node:crypto'
import {
  type BigIntStats,
  closeSync,
  fstatSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { z } from 'zod'
import { deriveKey } from './hkdf.js'
import { type GeneratedKey, type RotatingKeyProvider, WRAPPED_BY } from './provider.js'
import { deriveSigningKey, signEcdsa } from './signature.js'
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

const HEADER_LENGTH = 5

const label = (version: number): string => `local ${version}`

const newFile = () => ({
  format: 1,
  keys: [{ version: 1, key: randomBytes(32).toString('base64') }],
  root: randomBytes(32).toString('base64'),
})

function writeDurably(path: string, content: unknown): string {
  const draft = `${path}.${randomBytes(6).toString('hex')}.draft`
  const file = openSync(draft, 'wx', 0o600)
  try {
    writeFileSync(file, `${JSON.stringify(content, null, 2)}\n`)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
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

/** Runs one change of the file at a time: of two at once, one would lose the key that it had just wrapped with. */
function exclusively<T>(path: string, change: () => T): T {
  const lock = `${path}.lock`
  try {
    closeSync(openSync(lock, 'wx', 0o600))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    throw new Error(`The keyring ${path} is being changed; if nobody is at it, remove ${lock}`)
  }
  try {
    return change()
  } finally {
    rmSync(lock)
  }
}

type Content = z.infer<typeof KeyringFile>

/** JSON.parse quotes what it could not read in its error: key material must not get into a log that way. */
function parseKeyring(text: string): Content | undefined {
  try {
    return KeyringFile.safeParse(JSON.parse(text)).data
  } catch {
    return undefined
  }
}

const stampOf = ({ ino, ctimeNs }: BigIntStats): string => `${ino} ${ctimeNs}`

/** Reads through one descriptor, so that the mode that is checked is that of the bytes that are read. */
function readFile(path: string): { stamp: string; content: Content } {
  const file = openSync(path, 'r')
  try {
    const stats = fstatSync(file, { bigint: true })
    if (stats.mode & 0o077n) throw new Error(`The keyring ${path} can be read by others: chmod 600 it`)
    const content = parseKeyring(readFileSync(file, 'utf8'))
    if (!content) throw new Error(`The keyring ${path} is damaged: restore it from a backup`)
    return { stamp: stampOf(stats), content }
  } finally {
    closeSync(file)
  }
}

/** Key provider over a local file (mode 0600): the default where there is no key management service. */
export class LocalKeyring implements RotatingKeyProvider {
  private constructor(
    private readonly path: string,
    private file: ReturnType<typeof readFile>,
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

  /** Adds a key-encryption key, which wraps from now on, in every process; the older ones still unwrap. */
  async rotate(): Promise<string> {
    return exclusively(this.path, () => {
      const current = readFile(this.path).content
      const version = Math.max(...current.keys.map((key) => key.version)) + 1
      const keys = [...current.keys, { version, key: randomBytes(32) }]
      const content = {
        format: 1,
        keys: keys.map(({ version, key }) => ({ version, key: key.toString('base64') })),
        root: current.root.toString('base64'),
      }
      renameSync(writeDurably(this.path, content), this.path)
      syncFolder(this.path)
      this.file = readFile(this.path)
      return label(version)
    })
  }

  async currentVersion(): Promise<string> {
    this.refresh()
    return label(this.file.content.keys.at(-1)!.version)
  }

  versionOf(wrapped: Uint8Array): string | undefined {
    const bytes = Buffer.from(wrapped)
    return bytes[0] === WRAPPED_BY.local && bytes.length > HEADER_LENGTH
      ? label(bytes.readUInt32BE(1))
      : undefined
  }

  /** Signs with a key of the root's: it does not turn over with the others, so that old signatures stay good. */
  async sign(message: Uint8Array): Promise<Buffer> {
    return signEcdsa(this.signingKey(), message)
  }

  async verificationKey(): Promise<KeyObject> {
    return createPublicKey(this.signingKey())
  }

  private signingKey(): KeyObject {
    return deriveSigningKey(this.root, 'vigil signing P-256')
  }

  /** A 32-byte key for one lasting purpose, the same in every process and after every rotation. */
  derive(purpose: string): Buffer {
    return deriveKey(this.root, purpose)
  }

  /** What the lasting keys derive from: leaves only to be wrapped by the provider that succeeds this one. */
  get root(): Buffer {
    return this.file.content.root
  }

  async generateDataKey(context: string): Promise<GeneratedKey> {
    const plaintext = randomBytes(32)
    return { plaintext, wrapped: await this.wrap(plaintext, context) }
  }

  async wrap(key: Uint8Array, context: string): Promise<Buffer> {
    this.refresh()
    const { version, key: kek } = this.file.content.keys.at(-1)!
    const header = Buffer.alloc(HEADER_LENGTH)
    header.writeUInt8(WRAPPED_BY.local, 0)
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
    if (bytes.length < HEADER_LENGTH + XAES_NONCE_LENGTH || bytes[0] !== WRAPPED_BY.local)
      throw new NotAuthenticError()
    const kek = this.keyOf(bytes.readUInt32BE(1))
    const nonce = bytes.subarray(HEADER_LENGTH, HEADER_LENGTH + XAES_NONCE_LENGTH)
    const aad = Buffer.concat([bytes.subarray(0, HEADER_LENGTH), Buffer.from(context)])
    return xaesOpen(kek, nonce, bytes.subarray(HEADER_LENGTH + XAES_NONCE_LENGTH), aad)
  }

  async rewrap(wrapped: Uint8Array, context: string): Promise<Buffer> {
    return this.wrap(await this.unwrap(wrapped, context), context)
  }

  /** Reads the file again where another process changed it: a rotation counts at once. */
  private refresh(): void {
    if (stampOf(statSync(this.path, { bigint: true })) !== this.file.stamp) this.file = readFile(this.path)
  }

  /** A version that another process added since we read the file is looked up there. */
  private keyOf(version: number): Buffer {
    const find = () => this.file.content.keys.find((key) => key.version === version)?.key
    const known = find()
    if (known) return known
    this.file = readFile(this.path)
    const added = find()
    if (!added) throw new NotAuthenticError()
    return added
  }
}
