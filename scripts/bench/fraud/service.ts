import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { freePort } from '../../embedded/port.js'
import { untilReady } from '../../supervise/child.js'

/** A service process under measurement. */
export interface Service {
  url: string
  pid: number
  /** SIGTERM; resolves when it has ended. */
  stop(): Promise<void>
}

interface Options {
  name: string
  /** Compiled entry file, from the repository's root. */
  script: string
  env: Record<string, string>
  folder: string
  nodeArgs?: string[]
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = new Promise<void>((done) => child.once('exit', () => done()))
  child.kill('SIGTERM')
  await exited
}

/** Starts a compiled service on a free port, its log in a file, and waits until it is ready. */
export async function startService({ name, script, env, folder, nodeArgs = [] }: Options): Promise<Service> {
  const port = await freePort(0)
  const logFile = join(folder, `${name}.log`)
  const output = openSync(logFile, 'a')
  const child = spawn(process.execPath, ['--enable-source-maps', ...nodeArgs, resolve(script)], {
    env: { PATH: process.env.PATH, ...env, PORT: String(port), HOST: '127.0.0.1' },
    stdio: ['ignore', output, output],
  })
  closeSync(output)
  const url = `http://127.0.0.1:${port}`
  try {
    await untilReady(name, url, logFile)
  } catch (error) {
    child.kill('SIGKILL')
    throw error
  }
  return { url, pid: child.pid!, stop: () => end(child) }
}
