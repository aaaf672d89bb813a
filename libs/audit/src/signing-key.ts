import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { writeDurably } from '#libs/platform'
import { type NoteSigner, noteSigner } from './merkle/note.js'

/** The signer whose Ed25519 seed (base64) lies in a file of its own, apart from the database; made on first use. */
export function signerFrom(path: string, name: string): NoteSigner {
  if (!existsSync(path)) writeDurably(path, randomBytes(32).toString('base64'))
  const seed = Buffer.from(readFileSync(path, 'utf8'), 'base64')
  if (seed.length !== 32) throw new Error(`${path} holds no Ed25519 seed`)
  return noteSigner(name, seed)
}
