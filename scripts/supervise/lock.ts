import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startOf } from '../embedded/process.js'

interface Holder {
  pid: number
  /** When that process started: a process number alone may be another program's by now. */
  started: string
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function parse(content: string): Holder | undefined {
  try {
    return JSON.parse(content) as Holder
  } catch {
    return undefined
  }
}

const isAlive = ({ pid, started }: Holder): boolean => startOf(pid) === started

/** Refused because another Vigil works on this folder. */
export class DataDirInUseError extends Error {
  override readonly name = 'DataDirInUseError'
  constructor(dataDir: string, pid: number) {
    super(`Another Vigil (pid ${pid}) is running on ${dataDir}. Stop it, or set DATA_DIR to another folder.`)
  }
}

/**
 * Takes the folder for this process and returns how to give it back. A lock whose process is gone is taken
 * over; one that is still held after `patienceMs` throws DataDirInUseError.
 */
export async function lockDataDir(dataDir: string, patienceMs = 0): Promise<() => void> {
  const path = join(dataDir, 'vigil.lock')
  const limit = Date.now() + patienceMs
  const draft = `${path}.${process.pid}`
  const mine = JSON.stringify({ pid: process.pid, started: startOf(process.pid) ?? '' })
  writeFileSync(draft, mine, { mode: 0o600 })
  try {
    for (;;) {
      if (tryLink(draft, path)) {
        // Of two that take over the same stale lock, the later one displaces the earlier: look once more.
        await sleep(100)
        if (read(path) === mine) return () => rmSync(path, { force: true })
      }
      const found = read(path)
      if (found === undefined) continue
      const holder = parse(found)
      if (!holder || !isAlive(holder)) removeStale(path, found)
      else if (Date.now() >= limit) throw new DataDirInUseError(dataDir, holder.pid)
      else await sleep(100)
    }
  } finally {
    rmSync(draft, { force: true })
  }
}

function tryLink(draft: string, path: string): boolean {
  try {
    linkSync(draft, path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

function removeStale(path: string, stale: string): void {
  const away = `${path}.stale.${process.pid}`
  try {
    renameSync(path, away)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    throw error
  }
  // Another was quicker to take it over: what we hold is its lock, and goes back.
  if (read(away) !== stale) tryLink(away, path)
  rmSync(away, { force: true })
}
