import { openSync, readFileSync, renameSync, statSync } from 'node:fs'

const TURN_AT_BYTES = 64 * 1024 * 1024

/** Opens a log for appending, for its owner alone; one that has grown to 64 MB becomes `<path>.1` first. */
export function openLog(path: string): number {
  if (sizeOf(path) > TURN_AT_BYTES) renameSync(path, `${path}.1`)
  return openSync(path, 'a', 0o600)
}

/** Bytes of a file, 0 where there is none. */
export const sizeOf = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0

/** The last line since `from` that says why PostgreSQL ended. */
export function lastWords(path: string, from: number): string | undefined {
  const lines = readFileSync(path).subarray(from).toString('utf8').split('\n')
  return lines.findLast((line) => /\b(FATAL|PANIC):/.test(line))?.replace(/^.*\b(FATAL|PANIC): */, '')
}
