import { createHash, createPublicKey, type KeyObject } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { decryptFile, type KeyProvider, NotAuthenticError } from '#libs/crypto'
import { ModelError } from '../error.js'
import { verifyBundle } from './bundle.js'
import { hashFor } from './dsse.js'
import type { Manifest } from './statement.js'

/** File of a model's signature, and what marks an encrypted file and its wrapped data key. */
export const SIGNATURE = 'model.sig'
export const SEALED = '.floe'
export const SEALED_KEY = '.floe.key'

/** Whom to believe, and who unwraps what is encrypted. */
export interface Trust {
  /** Public keys by name. */
  keys: ReadonlyMap<string, KeyObject>
  provider?: Pick<KeyProvider, 'unwrap'>
}

/** What an encrypted file is, for its data key and for FLOE: bound to the model's signed files by name. */
export const sealedContext = (file: string): string => JSON.stringify(['model-artifact', file])

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** The public keys (PEM, `*.pub`) of a folder, by file name. Throws ModelError where there is none, or a wrong one. */
export async function trustedKeys(folder: string): Promise<Map<string, KeyObject>> {
  const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith('.pub')).sort()
  const keys = new Map<string, KeyObject>()
  for (const name of names) {
    const key = await readFile(join(folder, name))
      .then(createPublicKey)
      .catch(() => undefined)
    if (!key || !hashFor(key))
      throw new ModelError(`${join(folder, name)} is no public key of P-256, P-384 or P-521`)
    keys.set(name, key)
  }
  if (keys.size === 0)
    throw new ModelError(`There is no public key (*.pub) in ${folder}: no model can be trusted`)
  return keys
}

/** Paths of all files of a model, signature and encryption aside. Throws ModelError for anything but files. */
export async function filesOf(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files: string[] = []
  for (const entry of entries) {
    if (entry.isDirectory()) continue
    const path = join(entry.parentPath, entry.name).slice(join(folder, '/').length)
    if (!entry.isFile()) throw new ModelError(`${folder} holds ${path}, which is neither a file nor a folder`)
    if (path === SIGNATURE || path.endsWith(SEALED_KEY)) continue
    files.push(path.endsWith(SEALED) ? path.slice(0, -SEALED.length) : path)
  }
  return files.sort()
}

/** A file's bytes, decrypted where it lies there encrypted. */
async function bytesOf(folder: string, file: string, { provider }: Trust): Promise<Buffer> {
  const plain = await readFile(join(folder, file)).catch(() => undefined)
  if (plain) return plain
  if (!provider) throw new ModelError(`${file} of ${folder} is encrypted, and no key provider is configured`)
  const context = sealedContext(file)
  const wrapped = Buffer.from(await readFile(join(folder, `${file}${SEALED_KEY}`), 'utf8'), 'base64')
  try {
    const key = await provider.unwrap(wrapped, context)
    const parts: Buffer[] = []
    const source = createReadStream(join(folder, `${file}${SEALED}`))
    for await (const part of decryptFile(key, Buffer.from(context), source)) parts.push(part)
    key.fill(0)
    return Buffer.concat(parts)
  } catch (error) {
    if (!(error instanceof NotAuthenticError)) throw error
    throw new ModelError(`${file} of ${folder} does not open: it was altered, or is under another key`)
  }
}

/** Names that one side has and the other has not, for a message. */
const without = (some: Iterable<string>, others: { has(name: string): boolean }): string[] =>
  [...some].filter((name) => !others.has(name))

function refuse(folder: string, reason: string): never {
  throw new ModelError(`The model in ${folder} is not loaded: ${reason}`)
}

/** What the model's signature vouches for; throws ModelError where there is none that can be believed. */
async function signedManifest(folder: string, { keys }: Trust) {
  const text = await readFile(join(folder, SIGNATURE), 'utf8').catch(() =>
    refuse(folder, `it is not signed (there is no ${SIGNATURE})`),
  )
  const verdict = verifyBundle(text, keys)
  return 'refused' in verdict ? refuse(folder, verdict.refused) : verdict
}

/** A model whose every file is what a trusted key signed. */
export interface VerifiedModel {
  /** Name of the key that signed. */
  signer: string
  manifest: Manifest
  /** The files asked for: exactly the bytes that were verified. */
  files: Record<string, Buffer>
}

/**
 * Verifies a model (OpenSSF Model Signing v1.0, method key): signature, then every file, none missing and none more.
 * `wanted` files are kept in memory, so that what is used is what was verified. Throws ModelError.
 */
export async function verifyModel(
  folder: string,
  trust: Trust,
  wanted: readonly string[] = [],
): Promise<VerifiedModel> {
  const { manifest, signer } = await signedManifest(folder, trust)
  const present = new Set(await filesOf(folder))
  const missing = without(manifest.keys(), present)
  if (missing.length > 0) refuse(folder, `files that were signed are missing: ${missing.join(', ')}`)
  const unsigned = without(present, manifest)
  if (unsigned.length > 0) refuse(folder, `it holds files that were not signed: ${unsigned.join(', ')}`)
  const files: Record<string, Buffer> = {}
  for (const [file, digest] of manifest) {
    const bytes = await bytesOf(folder, file, trust)
    if (sha256(bytes) !== digest)
      refuse(folder, `${file} was altered: its digest is ${sha256(bytes)}, signed was ${digest}`)
    if (wanted.includes(file)) files[file] = bytes
  }
  return { signer, manifest, files }
}

/** SHA-256 of every file that lies there in clear. */
export async function hashFiles(folder: string): Promise<Manifest> {
  const manifest = new Map<string, string>()
  for (const file of await filesOf(folder)) manifest.set(file, sha256(await readFile(join(folder, file))))
  return manifest
}
