import { closeSync, fstatSync, openSync, readSync } from 'node:fs'

const LAST_BYTES = 64 * 1024
const LONGEST = 300

/** The error that Node printed last when it ended a process, without the lines of where it was thrown. */
export const reasonIn = (log: string): string | undefined =>
  log
    .split('\n')
    .findLast((line) => /^(?:Uncaught )?(?:\w+)?Error(?: \[\w+\])?: ./.test(line))
    ?.slice(0, LONGEST)

/** Why a process whose log began at byte `from` ended by itself; a log that has turned over since is read from its start. */
export function reasonSince(path: string, from: number): string | undefined {
  const file = openSync(path, 'r')
  try {
    const { size } = fstatSync(file)
    const start = Math.max(from > size ? 0 : from, size - LAST_BYTES)
    const bytes = Buffer.alloc(size - start)
    return reasonIn(bytes.toString('utf8', 0, readSync(file, bytes, 0, bytes.length, start)))
  } finally {
    closeSync(file)
  }
}
