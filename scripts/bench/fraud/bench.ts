import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type BenchIssuer, startIssuer } from './issuer.js'
import { type Load, load } from './load.js'
import type { Options } from './options.js'
import { initialise, measure, pgbench, type Yardstick } from './pgbench.js'
import { type BenchServer, startServer } from './server.js'
import { type Service, startService } from './service.js'
import { createHistory } from './templates.js'
import type { Figure } from './verdict.js'
import { accountsOf } from './world.js'

const FRAUD = 'dist/apps/fraud/src/main.js'
const BASELINE = 'dist/scripts/bench/baseline/main.js'

/** A run: one server, one issuer, and the figures so far. */
export class Bench {
  readonly figures: Figure[] = []
  private yardstickReady = false

  private constructor(
    readonly options: Options,
    readonly server: BenchServer,
    readonly issuer: BenchIssuer,
    private readonly folder: string,
    readonly log: (line: string) => void,
  ) {}

  static async open(options: Options, log: (line: string) => void): Promise<Bench> {
    const [server, issuer] = await Promise.all([startServer(log), startIssuer()])
    return new Bench(options, server, issuer, mkdtempSync(join(tmpdir(), 'vigil-bench-')), log)
  }

  async close(): Promise<void> {
    await this.issuer.stop()
    await this.server.stop()
    rmSync(this.folder, { recursive: true, force: true })
  }

  add(figure: Figure): void {
    this.figures.push(figure)
    this.log(
      `  ${figure.what}: ${figure.value}${figure.ratio === undefined ? '' : ` (${figure.ratio.toFixed(2)}x)`}`,
    )
  }

  history(name: string, payments: number, service: 'product' | 'baseline' = 'product'): Promise<void> {
    return createHistory(this.server, name, service, payments, { fresh: this.options.fresh, log: this.log })
  }

  /** The product, as `npm start` runs it, on a database of this server. */
  fraud(database: string, nodeArgs: string[] = [], env: Record<string, string> = {}): Promise<Service> {
    const DATABASE_URL = this.server.roleUrl(database, 'vigil_fraud')
    const settings = { ...this.issuer.env, DATABASE_URL, DATA_DIR: this.folder, ...env }
    return startService({ name: 'fraud', script: FRAUD, env: settings, folder: this.folder, nodeArgs })
  }

  baseline(database: string): Promise<Service> {
    const env = { ...this.issuer.env, DATABASE_URL: this.server.url(database).href }
    return startService({ name: 'baseline', script: BASELINE, env, folder: this.folder })
  }

  load(
    service: Service,
    connections: number,
    history: number,
    merchant?: string,
    seconds = this.options.seconds,
  ) {
    const { url } = service
    const accounts = accountsOf(history)
    return load({
      url,
      token: this.issuer.token,
      connections,
      seconds,
      accounts,
      ...(merchant ? { merchant } : {}),
    })
  }

  /** pgbench's transaction on this server, or undefined where there is no pgbench. */
  async yardstick(clients: number): Promise<Yardstick | undefined> {
    if (!pgbench) return undefined
    if (!this.yardstickReady) {
      await this.server.create('pgbench')
      initialise(this.server.url('pgbench'))
      this.yardstickReady = true
    }
    return measure(this.server.url('pgbench'), clients, this.options.seconds)
  }

  /** Dirty pages of what ran before are not for the next to write. */
  async settle(): Promise<void> {
    await this.server.query('postgres', 'CHECKPOINT')
  }
}

export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** The medians of several rounds, figure by figure. */
export function medians<T extends Load | Yardstick>(rounds: readonly T[]): T {
  const names = Object.keys(rounds[0]!) as (keyof T)[]
  return Object.fromEntries(
    names.map((name) => [name, median(rounds.map((round) => round[name] as number))]),
  ) as unknown as T
}

export const perSecond = (value: number) => `${Math.round(value).toLocaleString('en')}/s`
export const ms = (value: number) => `${value.toFixed(value < 10 ? 2 : 1)} ms`
