import { existsSync } from 'node:fs'
import { resolve } from 'node:path'

/** Folder of published vectors and real data beside a checkout; absent in a plain clone elsewhere. */
const SHARED = resolve(import.meta.dirname, '../../../shared')

/** Path of a shared file or folder, or undefined with a message, so that a test can skip and say why. */
export function shared(path: string): string | undefined {
  const full = resolve(SHARED, path)
  if (existsSync(full)) return full
  console.warn(
    `skipped: ../shared/${path} is not there (published vectors and data are kept beside the repository)`,
  )
  return undefined
}
