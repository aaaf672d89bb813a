import { parseArgs } from 'node:util'

export const PARTS = ['single', 'alone', 'history', 'batch', 'replicas', 'profile', 'model'] as const
export type Part = (typeof PARTS)[number]

export const USAGE = `npm run bench:fraud -- [--only ${PARTS.join(',')}] [--seconds 10] [--rounds 3] [--history 1e6] [--sizes 1e5,1e6,1e7]
  [--connections 64] [--lines 1e6] [--quick] [--fresh] [--json FILE]
Measures the fraud service against pgbench and a plain NestJS + TypeORM service on one embedded PostgreSQL 18 in one run.
--history  payments that are there already in every part but "history", which takes --sizes
--quick    5 s, one round, 10^5 and 10^6 payments of history, 50,000 lines of batch
--fresh    fills the history again (kept in DATA_DIR/bench otherwise)`

/** What a run measures. */
export interface Options {
  parts: ReadonlySet<Part>
  seconds: number
  rounds: number
  history: number
  sizes: number[]
  connections: number
  lines: number
  fresh: boolean
  json?: string
}

const positive = (name: string, text: string): number => {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 1)
    throw new Error(`--${name} takes a whole number above 0\n${USAGE}`)
  return value
}

function partsOf(text: string | undefined): ReadonlySet<Part> {
  if (text === undefined) return new Set(PARTS)
  const named = text.split(',')
  const unknown = named.find((name) => !(PARTS as readonly string[]).includes(name))
  if (unknown !== undefined) throw new Error(`There is no part "${unknown}"\n${USAGE}`)
  return new Set(named as Part[])
}

/** Reads the command line; throws an error with the usage where it is not understood. */
export function readOptions(args: string[]): Options {
  const { values } = parseArgs({
    args,
    options: {
      only: { type: 'string' },
      seconds: { type: 'string' },
      rounds: { type: 'string' },
      history: { type: 'string', default: '1e6' },
      sizes: { type: 'string' },
      connections: { type: 'string', default: '64' },
      lines: { type: 'string' },
      quick: { type: 'boolean', default: false },
      fresh: { type: 'boolean', default: false },
      json: { type: 'string' },
    },
  })
  const { quick } = values
  return {
    parts: partsOf(values.only),
    seconds: positive('seconds', values.seconds ?? (quick ? '5' : '10')),
    rounds: positive('rounds', values.rounds ?? (quick ? '1' : '3')),
    history: positive('history', values.history),
    sizes: (values.sizes ?? (quick ? '1e5,1e6' : '1e5,1e6,1e7'))
      .split(',')
      .map((text) => positive('sizes', text)),
    connections: positive('connections', values.connections),
    lines: positive('lines', values.lines ?? (quick ? '5e4' : '1e6')),
    fresh: values.fresh,
    ...((values.json ?? process.env.BENCH_JSON) ? { json: values.json ?? process.env.BENCH_JSON } : {}),
  }
}
