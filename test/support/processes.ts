import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { freePort } from '../../scripts/embedded/port.js'

/** A service of the compiled code in a process of its own, as it runs in production. */
export interface ServiceProcess {
  url: string
  child: ChildProcess
  /** Resolves with the exit code, or the signal's name. */
  exited: Promise<number | string | null>
}

/** Starts a compiled service and waits until it is ready. */
export async function startProcess(script: string, env: Record<string, string>): Promise<ServiceProcess> {
  const port = await freePort(0)
  const child = spawn(process.execPath, [resolve(script)], {
    env: { PATH: process.env.PATH, LOG_LEVEL: 'silent', ...env, HOST: '127.0.0.1', PORT: String(port) },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const exited = new Promise<number | string | null>((done) =>
    child.once('exit', (code, signal) => done(signal ?? code)),
  )
  const url = `http://127.0.0.1:${port}`
  for (let waited = 0; ; waited++) {
    if (await isReady(url)) return { url, child, exited }
    if (child.exitCode !== null || waited > 400) throw new Error(`${script} does not start`)
    await new Promise((done) => setTimeout(done, 50))
  }
}

export const isReady = (url: string): Promise<boolean> =>
  fetch(`${url}/ready`, { signal: AbortSignal.timeout(5_000) }).then(
    (response) => response.ok,
    () => false,
  )

const parentOf = (pid: string): number => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
  } catch {
    return 0
  }
}

/** Sends a signal to a process and its children: PostgreSQL works in its children (needs /proc). */
export function signalFamily(pid: number, signal: NodeJS.Signals): void {
  const children = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && parentOf(name) === pid)
  for (const one of [pid, ...children.map(Number)]) {
    try {
      process.kill(one, signal)
    } catch {
      // It ended in between.
    }
  }
}
