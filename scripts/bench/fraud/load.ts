import { spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { Agent, request } from 'node:http'
import { resolve } from 'node:path'
import { MERCHANTS, payment } from './world.js'

/** What a closed loop of connections measured; latencies in milliseconds. */
export interface Load {
  perSecond: number
  p50: number
  p90: number
  p99: number
  max: number
  failed: number
}

export interface LoadOptions {
  url: string
  token: string
  connections: number
  seconds: number
  accounts: number
  /** All payments at this merchant. */
  merchant?: string
}

const SCRIPT = resolve('scripts/bench/fraud/payments.lua')
export const hasWrk = spawnSync('wrk', ['-v']).error === undefined

function run(file: string, args: string[]): Promise<string> {
  return new Promise((done, fail) => {
    const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk
    })
    child.once('error', fail)
    child.once('close', (code) =>
      code === 0 ? done(output) : fail(new Error(`${file} ended with ${code}: ${output}`)),
    )
  })
}

async function byWrk(options: LoadOptions): Promise<Load> {
  const { url, token, connections, seconds, accounts, merchant } = options
  const prefix = randomBytes(6).toString('hex')
  const output = await run('wrk', [
    '-t1',
    `-c${connections}`,
    `-d${seconds}s`,
    '--timeout=30s',
    '-s',
    SCRIPT,
    `${url}/api/v1/transactions`,
    '--',
    token,
    prefix,
    String(accounts),
    String(MERCHANTS),
    ...(merchant ? [merchant] : []),
  ])
  const line = output.split('\n').find((text) => text.startsWith('RESULT '))
  if (!line) throw new Error(`wrk said nothing of its result: ${output}`)
  const result = JSON.parse(line.slice('RESULT '.length)) as Record<string, number>
  const ms = (name: string) => result[name]! / 1000
  return {
    perSecond: (result.requests! - result.failed!) / (result.micros! / 1e6),
    p50: ms('p50'),
    p90: ms('p90'),
    p99: ms('p99'),
    max: ms('max'),
    failed: result.failed!,
  }
}

/** The value below which a share of the sorted numbers lies. */
export const percentile = (sorted: readonly number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN

function post(agent: Agent, { url, token }: LoadOptions, body: string): Promise<number> {
  return new Promise((done, fail) => {
    const headers = {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      authorization: `Bearer ${token}`,
    }
    const call = request(`${url}/api/v1/transactions`, { method: 'POST', agent, headers }, (response) => {
      response.resume().once('end', () => done(response.statusCode ?? 0))
    })
    call.once('error', fail).end(body)
  })
}

/** Where wrk is not there: it takes a good part of a core from what it measures. */
async function byNode(options: LoadOptions): Promise<Load> {
  const agent = new Agent({ keepAlive: true, maxSockets: options.connections })
  const prefix = randomBytes(6).toString('hex')
  const latencies: number[] = []
  let counter = 0
  let failed = 0
  const startedAt = performance.now()
  const end = startedAt + options.seconds * 1000
  const loop = async () => {
    while (performance.now() < end) {
      const draft = payment(`${prefix}-${++counter}`, Date.now(), options.accounts)
      const body = JSON.stringify(options.merchant ? { ...draft, merchant_id: options.merchant } : draft)
      const sentAt = performance.now()
      if ((await post(agent, options, body)) !== 200) failed++
      latencies.push(performance.now() - sentAt)
    }
  }
  await Promise.all(Array.from({ length: options.connections }, loop))
  agent.destroy()
  const took = (performance.now() - startedAt) / 1000
  latencies.sort((a, b) => a - b)
  const at = (share: number) => percentile(latencies, share)
  const perSecond = (latencies.length - failed) / took
  return { perSecond, p50: at(0.5), p90: at(0.9), p99: at(0.99), max: latencies.at(-1) ?? 0, failed }
}

/** Posts distinct payments over a number of connections, each waiting for its answer, for some seconds. */
export const load = (options: LoadOptions): Promise<Load> => (hasWrk ? byWrk(options) : byNode(options))
