import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Checkpoint, checkpointText, type NoteSigner, parseCheckpoint, signerFrom } from '#libs/audit'
import { writeDurably } from '#libs/platform'

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

const statePath = (folder: string) => join(folder, 'state.json')

/**
 * The witness's key in a folder. Made on first use together with an empty state: a key without its state has forgotten
 * what it cosigned, and must not sign again.
 */
export function witnessKey(folder: string, name: string): NoteSigner {
  const path = join(folder, 'key')
  if (!existsSync(path)) writeDurably(statePath(folder), '{}\n')
  return signerFrom(path, name)
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

  /** Opens the state of a witness that has its key. */
  static open(folder: string): WitnessState {
    const path = statePath(folder)
    const unlock = lock(join(folder, 'lock'))
    try {
      if (!existsSync(path)) throw new Error(`${path} is gone: restore it, or start a witness with a new key`)
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
