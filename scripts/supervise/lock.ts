import { execFileSync } from 'node:child_process'
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

interface Holder {
  pid: number
  /** When that process started: a process number alone may be another program's by now. */
  started: string
}

function startOf(pid: number): string | undefined {
  try {
    return execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], {
      encoding: 'utf8',
      env: { LC_ALL: 'C', PATH: '/usr/bin:/bin' },
    }).trim()
  } catch {
    return undefined
  }
}

function holderOf(path: string): Holder | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Holder
  } catch {
    return undefined
  }
}

const isAlive = (holder: Holder): boolean => startOf(holder.pid) === holder.started

/** Refused because another Vigil works on this folder. */
export class DataDirInUseError extends Error {
  override readonly name = 'DataDirInUseError'
  constructor(dataDir: string, pid: number | undefined) {
    super(
      `Another Vigil (pid ${pid ?? 'unknown'}) is running on ${dataDir}. Stop it, or set DATA_DIR to another folder.`,
    )
  }
}

/**
 * Takes the folder for this process and returns how to give it back. A lock whose process is gone is taken
 * over; one that is held throws DataDirInUseError.
 */
export async function lockDataDir(dataDir: string): Promise<() => void> {
  const path = join(dataDir, 'vigil.lock')
  const draft = `${path}.${process.pid}`
  const mine = JSON.stringify({ pid: process.pid, started: startOf(process.pid) ?? '' })
  writeFileSync(draft, mine, { mode: 0o600 })
  try {
    for (;;) {
      if (tryLink(draft, path)) {
        // Of two that take over the same stale lock, the later one displaces the earlier: look once more.
        await sleep(100)
        if (readFileSync(path, 'utf8') === mine) return () => rmSync(path, { force: true })
      }
      const holder = holderOf(path)
      if (holder && isAlive(holder)) throw new DataDirInUseError(dataDir, holder.pid)
      removeStale(path)
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

function removeStale(path: string): void {
  const away = `${path}.stale.${process.pid}`
  try {
    renameSync(path, away)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  rmSync(away, { force: true })
}
