import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Checkpoint, checkpointText, parseCheckpoint } from '#libs/audit'
import { writeDurably } from '#libs/platform'

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Two witnesses on one state could each cosign what the other would have refused. Returns how to give it back. */
function lock(path: string): () => void {
  const mine = String(process.pid)
  for (;;) {
    try {
      writeFileSync(path, mine, { flag: 'wx', mode: 0o600 })
      return () => rmSync(path, { force: true })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    const holder = Number(readFileSync(path, 'utf8'))
    // In a container every run has the same process number: what is ours was left by the one before.
    if (holder !== process.pid && Number.isInteger(holder) && holder > 0 && isAlive(holder))
      throw new Error(`Another witness (pid ${holder}) works on ${path}`)
    rmSync(path, { force: true })
  }
}

/**
 * The newest checkpoint of each log that was cosigned, in one file. Everything here is synchronous: between looking a
 * checkpoint up and keeping its successor no other request comes in.
 */
export class WitnessState {
  private constructor(
    private readonly path: string,
    private readonly texts: Map<string, string>,
    readonly close: () => void,
  ) {}

  /** Opens the state of a folder. `isNew` says that the witness has no key yet: only then there may be none. */
  static open(folder: string, isNew: boolean): WitnessState {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    const path = join(folder, 'state.json')
    const unlock = lock(join(folder, 'lock'))
    try {
      if (!existsSync(path)) {
        if (!isNew) throw new Error(`${path} is gone: restore it, or start a witness with a new key`)
        writeDurably(path, '{}\n')
      }
      const texts = new Map(Object.entries(JSON.parse(readFileSync(path, 'utf8')) as Record<string, string>))
      for (const text of texts.values()) parseCheckpoint(text)
      return new WitnessState(path, texts, unlock)
    } catch (error) {
      unlock()
      throw error
    }
  }

  latest(origin: string): Checkpoint | undefined {
    const text = this.texts.get(origin)
    return text === undefined ? undefined : parseCheckpoint(text)
  }

  /** On the disk when this returns: only then the cosignature may leave. */
  keep(checkpoint: Checkpoint): void {
    const next = new Map(this.texts).set(checkpoint.origin, checkpointText(checkpoint))
    writeDurably(this.path, `${JSON.stringify(Object.fromEntries(next), null, 2)}\n`)
    this.texts.set(checkpoint.origin, checkpointText(checkpoint))
  }
}
