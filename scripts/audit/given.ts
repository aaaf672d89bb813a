import { readFileSync, statSync } from 'node:fs'

/** Size in bytes of a file that was named on the command line. */
export function sizeOfGiven(path: string): number {
  const found = statSync(path, { throwIfNoEntry: false })
  if (!found?.isFile()) throw new Error(`There is no file ${path}`)
  return found.size
}

/** Text of a file that was named on the command line. */
export function readGiven(path: string): string {
  sizeOfGiven(path)
  return readFileSync(path, 'utf8')
}
