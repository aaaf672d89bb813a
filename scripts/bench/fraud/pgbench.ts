import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { percentile } from './load.js'

const DEBIAN = '/usr/lib/postgresql/15/bin/pgbench'
const SCALE = 50

/** The path of pgbench, or undefined where this machine has none. */
export const pgbench: string | undefined = existsSync(DEBIAN)
  ? DEBIAN
  : spawnSync('pgbench', ['--version']).error === undefined
    ? 'pgbench'
    : undefined

/** pgbench's own bank transaction (TPC-B-like): three updates, a select, an insert, a commit. Milliseconds. */
export interface Yardstick {
  perSecond: number
  p50: number
  p99: number
}

function run(url: URL, args: string[]): string {
  const env = { ...process.env, PGPASSWORD: url.password }
  const target = ['-h', url.hostname, '-p', url.port, '-U', url.username, url.pathname.slice(1)]
  const { status, stdout, stderr } = spawnSync(pgbench!, [...args, ...target], { env, encoding: 'utf8' })
  if (status !== 0) throw new Error(`pgbench failed: ${stderr}`)
  return stdout
}

/** Makes pgbench's tables in an empty database: 5 million accounts, so that clients seldom meet. */
export const initialise = (url: URL): void => void run(url, ['-i', '-q', '-s', String(SCALE)])

/** The latencies of every transaction, in milliseconds, sorted, from the files that `pgbench --log` wrote. */
function latenciesIn(folder: string): number[] {
  const lines = readdirSync(folder).flatMap((file) =>
    readFileSync(join(folder, file), 'utf8').trimEnd().split('\n'),
  )
  return lines.map((line) => Number(line.split(' ')[2]) / 1000).sort((a, b) => a - b)
}

/** Runs TPC-B-like transactions with prepared statements for some seconds. */
export function measure(url: URL, clients: number, seconds: number): Yardstick {
  const folder = mkdtempSync(join(tmpdir(), 'vigil-pgbench-'))
  try {
    const threads = String(Math.min(2, clients))
    const output = run(url, [
      ...['-M', 'prepared', '-n', '-c', String(clients), '-j', threads, '-T', String(seconds)],
      ...['--log', `--log-prefix=${join(folder, 'log')}`],
    ])
    const perSecond = Number(/tps = ([\d.]+)/.exec(output)?.[1])
    const latencies = latenciesIn(folder)
    return { perSecond, p50: percentile(latencies, 0.5), p99: percentile(latencies, 0.99) }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
