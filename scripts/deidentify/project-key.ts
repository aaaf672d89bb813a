import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { DeidentificationKeys } from '../../apps/imaging/src/deidentify/values.js'
import { deriveKey } from '../../libs/crypto/src/hkdf.js'
import { ProfileError } from './profile.js'

const KEY_LENGTH = 32

/** Writes a new project key that only its owner can read; never over another. */
export function createProjectKey(path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  writeFileSync(path, `${randomBytes(KEY_LENGTH).toString('base64')}\n`, { mode: 0o600, flag: 'wx' })
}

/** The keys of a project, derived from its key file: the same file gives the same pseudonyms, UIDs and dates for ever. */
export function readProjectKey(path: string): DeidentificationKeys {
  if (!existsSync(path)) throw new ProfileError(`There is no project key at ${path}; --create-key makes one`)
  if (process.platform !== 'win32' && (statSync(path).mode & 0o077) !== 0)
    throw new ProfileError(`The project key ${path} must be readable by its owner only (chmod 600)`)
  const root = Buffer.from(readFileSync(path, 'utf8').trim(), 'base64')
  if (root.length < KEY_LENGTH)
    throw new ProfileError(`The project key ${path} must be ${KEY_LENGTH} bytes in base64`)
  return {
    uid: deriveKey(root, 'deidentify uid'),
    patient: deriveKey(root, 'deidentify patient'),
    date: deriveKey(root, 'deidentify date'),
  }
}
