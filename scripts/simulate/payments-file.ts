import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { type Simulated, type SimulationOptions, simulatePayments } from './payments.js'

const COLUMNS =
  'transaction_id,timestamp,user_id,merchant_id,amount,currency,payment_method,latitude,longitude,label,scenario'

/** A line of CSV as `fraud:import` reads it; ids and terms of ours never need quotes. */
function csvLine({ payment: p, scenario }: Simulated): string {
  const { latitude, longitude } = p.location
  const account = [p.transaction_id, p.timestamp, p.user_id, p.merchant_id]
  const label = scenario === 'genuine' ? 0 : 1
  return [...account, p.amount, p.currency, p.payment_method, latitude, longitude, label, scenario].join(',')
}

const jsonLine = ({ payment, scenario }: Simulated): string => JSON.stringify({ ...payment, scenario })

/** Writes simulated payments with their truth beside them, CSV or NDJSON by the file's name; returns how many. */
export async function writePayments(path: string, options: SimulationOptions): Promise<number> {
  const csv = path.endsWith('.csv')
  const file = createWriteStream(path)
  if (csv) file.write(`${COLUMNS}\n`)
  let count = 0
  for (const simulated of simulatePayments(options)) {
    count++
    if (!file.write(`${csv ? csvLine(simulated) : jsonLine(simulated)}\n`)) await once(file, 'drain')
  }
  file.end()
  await once(file, 'close')
  return count
}
