import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Kind } from './dicom/phantom.js'
import { simulateInstance } from './dicom/study.js'
import { SYNTAXES, type Syntax } from './dicom/write.js'
import type { SimulationOptions } from './payments.js'
import { writePayments } from './payments-file.js'

const USAGE = `npm run simulate -- payments --out FILE.csv|FILE.ndjson [--seed 1] [--customers 1000] [--merchants 2000] [--days 30] [--from 2026-01-01]
npm run simulate -- dicom --out DIR [--seed 1] [--count 20]
Payments: one a line in order of time with their truth beside; NDJSON as they are posted, CSV as fraud:import reads it. DICOM: files, and ground-truth.json with what was planted.`

const KINDS: readonly Kind[] = ['CT', 'MR', 'CR', 'US', 'US-CINE']

/** A whole number of at least `least` out of the command line. */
function whole(name: string, text: string, least: number): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < least)
    throw new Error(`--${name} must be a whole number of at least ${least}`)
  return value
}

function paymentOptions(values: Record<string, string>): SimulationOptions {
  const from = new Date(`${values.from}T00:00:00Z`)
  if (Number.isNaN(from.getTime())) throw new Error('--from must be a date such as 2026-01-01')
  const number = (name: string, least: number) => whole(name, values[name]!, least)
  return {
    seed: number('seed', 0),
    customers: number('customers', 1),
    merchants: number('merchants', 1),
    days: number('days', 1),
    from,
  }
}

function writeInstances(out: string, seed: number, count: number): void {
  mkdirSync(out, { recursive: true })
  const syntaxes = Object.keys(SYNTAXES) as Syntax[]
  const truth: Record<string, unknown> = {}
  for (let at = 0; at < count; at++) {
    const kind = KINDS[at % KINDS.length]!
    const { bytes, planted } = simulateInstance({
      seed: seed * 1000 + at,
      kind,
      syntax: syntaxes[at % syntaxes.length]!,
      burnedIn: at % 7 === 6,
    })
    const name = `${String(at).padStart(4, '0')}-${kind}.dcm`
    writeFileSync(join(out, name), bytes)
    truth[name] = planted
  }
  writeFileSync(join(out, 'ground-truth.json'), `${JSON.stringify(truth, null, 2)}\n`)
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      out: { type: 'string' },
      seed: { type: 'string', default: '1' },
      customers: { type: 'string', default: '1000' },
      merchants: { type: 'string', default: '2000' },
      days: { type: 'string', default: '30' },
      from: { type: 'string', default: '2026-01-01' },
      count: { type: 'string', default: '20' },
    },
  })
  const [what] = positionals
  if (!values.out || (what !== 'payments' && what !== 'dicom')) {
    console.error(USAGE)
    return 1
  }
  if (what === 'payments') {
    const { out, ...rest } = values
    console.log(`${await writePayments(out, paymentOptions(rest))} payments in ${out}`)
  } else writeInstances(values.out, whole('seed', values.seed, 0), whole('count', values.count, 1))
  return 0
}

main().then(
  (code) => {
    process.exitCode = code
  },
  (error: Error) => {
    console.error(error.message)
    process.exitCode = 1
  },
)
