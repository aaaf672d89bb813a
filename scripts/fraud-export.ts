import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { parseArgs } from 'node:util'
import { computeFeatures, FEATURES, toRow } from '../apps/fraud/src/features/features.js'
import { History } from '../apps/fraud/src/features/history.js'
import { DAY_MS } from '../apps/fraud/src/features/windows.js'
import { Transaction } from '../apps/fraud/src/transactions/transaction.js'
import { simulatePayments } from './simulate/payments.js'

/** Writes a training set: the features of simulated payments as of each decision, computed by the service's own code. */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      out: { type: 'string' },
      seed: { type: 'string', default: '1' },
      customers: { type: 'string', default: '900' },
      merchants: { type: 'string', default: '1800' },
      days: { type: 'string', default: '90' },
      'label-delay-days': { type: 'string', default: '7' },
    },
  })
  if (!values.out) throw new Error('--out FILE.csv is needed')
  const from = new Date('2026-01-01T00:00:00Z')
  const options = {
    seed: Number(values.seed),
    customers: Number(values.customers),
    merchants: Number(values.merchants),
    from,
    days: Number(values.days),
  }
  const delay = Number(values['label-delay-days']) * DAY_MS
  const history = new History()
  const out = createWriteStream(values.out)
  out.write(`day,scenario,fraud,${FEATURES.join(',')}\n`)
  for (const { payment, scenario } of simulatePayments(options)) {
    const transaction = Transaction.parse(payment)
    const at = Date.parse(transaction.timestamp)
    const row = toRow(computeFeatures(transaction, history.windowsOf(transaction)))
    const fraud = scenario !== 'genuine'
    const label = history.add(transaction)
    label(fraud, at + delay)
    const day = Math.floor((at - from.getTime()) / DAY_MS)
    if (!out.write(`${day},${scenario},${fraud ? 1 : 0},${row.join(',')}\n`)) await once(out, 'drain')
  }
  out.end()
  await once(out, 'close')
}

await main()
