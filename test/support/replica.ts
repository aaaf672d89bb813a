import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

/** A fraud service in a process of its own, from the compiled code. */
export interface Replica {
  url: string
  /** Ends at once, as a crash would. */
  kill(): Promise<void>
}

/** Starts a replica and waits until it listens. */
export async function startReplica(env: Record<string, string>): Promise<Replica> {
  const child: ChildProcess = spawn(process.execPath, ['dist/apps/fraud/src/main.js'], {
    env: { PATH: process.env.PATH ?? '', HOST: '127.0.0.1', PORT: '0', LOG_LEVEL: 'info', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(child, 'exit')
  const url = await new Promise<string>((resolve, reject) => {
    ended.then(() => reject(new Error('the replica ended before it listened')), reject)
    // Read to the end, or a full pipe would stop the service.
    createInterface({ input: child.stdout! }).on('line', (line) => {
      const { msg, url: listening } = JSON.parse(line) as { msg: string; url?: string }
      if (msg === 'listening' && listening) resolve(listening)
    })
  })
  const kill = async () => {
    child.kill('SIGKILL')
    await ended
  }
  return { url, kill }
}
