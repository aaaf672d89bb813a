import { randomBytes } from 'node:crypto'
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'

/** Writes a file that only its owner can read: whole or not at all, and on the disk when this returns. */
export function writeSecret(path: string, content: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const draft = `${path}.draft`
  const file = openSync(draft, 'w', 0o600)
  writeSync(file, content)
  fsyncSync(file)
  closeSync(file)
  renameSync(draft, path)
}

/** Reads the random secret of a file; makes it, 32 bytes in hexadecimal, where there is none. */
export function secretIn(path: string): string {
  if (!existsSync(path)) writeSecret(path, randomBytes(32).toString('hex'))
  return readFileSync(path, 'utf8').trim()
}
