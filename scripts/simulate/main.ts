import { once } from 'node:events'
import { createWriteStream, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Kind } from './dicom/phantom.js'
import { simulateInstance } from './dicom/study.js'
import { SYNTAXES, type Syntax } from './dicom/write.js'
import { simulatePayments } from './payments.js'

const USAGE = `npm run simulate -- payments --out FILE.ndjson [--seed 1] [--customers 1000] [--merchants 2000] [--days 30] [--from 2026-01-01]
npm run simulate -- dicom --out DIR [--seed 1] [--count 20]
Payments: one a line, as they are posted, with "scenario" beside. DICOM: files, and ground-truth.json with what was planted.`

const KINDS: readonly Kind[] = ['CT', 'MR', 'CR', 'US', 'US-CINE']

async function writePayments(out: string, values: Record<string, string>): Promise<void> {
  const file = createWriteStream(out)
  const number = (name: string) => Number(values[name])
  const from = new Date(`${values.from}T00:00:00Z`)
  const options = {
    seed: number('seed'),
    customers: number('customers'),
    merchants: number('merchants'),
    days: number('days'),
    from,
  }
  for (const { payment, scenario } of simulatePayments(options)) {
    if (!file.write(`${JSON.stringify({ ...payment, scenario })}\n`)) await once(file, 'drain')
  }
  file.end()
  await once(file, 'close')
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
if (values.out && positionals[0] === 'payments')
  await writePayments(values.out, values as Record<string, string>)
else if (values.out && positionals[0] === 'dicom')
  writeInstances(values.out, Number(values.seed), Number(values.count))
else {
  console.error(USAGE)
  process.exitCode = 1
}
