import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, mkdirSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { openLog, sizeOf } from '../embedded/log-file.js'
import { answers } from './probe.js'
import { reasonSince } from './reason.js'

interface Options {
  name: string
  /** Compiled entry file. */
  script: string
  env: NodeJS.ProcessEnv
  logFile: string
  log: (line: string) => void
}

/** A service process that is started again when it dies unasked. */
export interface Child {
  pid(): number | undefined
  /** SIGTERM, and SIGKILL after 7.5 s: the database has its 2 s within the ten of the whole. */
  stop(): Promise<void>
}

const LEASH = new URL('./leash.js', import.meta.url).href
const STEADY_MS = 60_000
const STOP_TIMEOUT_MS = 7_500

function launch({ script, env, logFile }: Options): ChildProcess {
  mkdirSync(dirname(logFile), { recursive: true, mode: 0o700 })
  const output = openLog(logFile)
  // The channel tells the child when we die without having said so: it then ends by itself.
  const child = spawn(process.execPath, ['--enable-source-maps', '--import', LEASH, script], {
    env,
    stdio: ['ignore', output, output, 'ipc'],
  })
  closeSync(output)
  return child
}

/** Starts a service and keeps it up: restarts after 0.5 s, doubling to 10 s while it keeps dying. */
export function keepRunning(options: Options): Child {
  let stopping = false
  let delay = 500
  const before = sizeOf(options.logFile)
  let child = launch(options)
  const watch = (current: ChildProcess, from: number) => {
    const startedAt = Date.now()
    current.once('exit', async (code, signal) => {
      if (stopping) return
      delay = Date.now() - startedAt > STEADY_MS ? 500 : Math.min(delay * 2, 10_000)
      const reason = reasonSince(options.logFile, from)
      options.log(
        `${options.name} ended (${signal ?? code}): ${reason ? `${reason}; ` : ''}starting it again in ${delay / 1000} s, see ${options.logFile}`,
      )
      await sleep(delay)
      if (stopping) return
      const end = sizeOf(options.logFile)
      child = launch(options)
      watch(child, end)
    })
  }
  watch(child, before)
  const stop = async () => {
    stopping = true
    if (child.exitCode !== null || child.signalCode !== null) return
    const exited = new Promise<void>((done) => child.once('exit', () => done()))
    child.kill('SIGTERM')
    const killer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS)
    await exited
    clearTimeout(killer)
  }
  return { pid: () => child.pid, stop }
}

/** Waits until `url`/ready answers 200; throws with the end of the log when it does not in time. */
export async function untilReady(
  name: string,
  url: string,
  logFile: string,
  timeoutMs = 60_000,
): Promise<void> {
  const limit = Date.now() + timeoutMs
  while (Date.now() < limit) {
    if (await answers(`${url}/ready`)) return
    await sleep(50)
  }
  const said = await fetch(`${url}/ready`).then(
    (response) => response.text(),
    () => 'nothing',
  )
  const tail = readFileSync(logFile, 'utf8').trimEnd().split('\n').slice(-5).join('\n')
  throw new Error(
    `${name} is not ready after ${timeoutMs / 1000} s. It says: ${said}\nThe end of ${logFile}:\n${tail}`,
  )
}
