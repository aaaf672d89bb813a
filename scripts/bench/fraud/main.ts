import { machine, report } from '../report.js'
import { measureBatch } from './batch.js'
import { Bench } from './bench.js'
import { measureHistory } from './history.js'
import { hasWrk } from './load.js'
import { measureModel } from './model.js'
import { type Part, readOptions } from './options.js'
import { pgbench } from './pgbench.js'
import { measureProfile } from './profile.js'
import { measureReplicas } from './replicas.js'
import { measureAlone, measureSingle } from './single.js'
import { missed, rowsOf } from './verdict.js'

const MEASURES: Record<Part, (bench: Bench) => Promise<void>> = {
  single: measureSingle,
  alone: measureAlone,
  history: measureHistory,
  batch: measureBatch,
  replicas: measureReplicas,
  profile: measureProfile,
  model: measureModel,
}

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2))
  const ranOn = machine()
  const log = (line: string) => console.error(line)
  if (!pgbench)
    log('pgbench is not installed (Debian: postgresql-15): there is nothing to compare commits with')
  if (!hasWrk)
    log('wrk is not installed (Debian: wrk): a Node client makes the load and takes CPU from the service')
  const bench = await Bench.open(options, log)
  try {
    for (const part of options.parts) {
      log(part)
      await MEASURES[part](bench)
    }
  } finally {
    await bench.close()
  }
  const { figures } = bench
  const title = `Fraud decisions on PostgreSQL ${bench.server.version}, fsync on, ${options.history.toLocaleString('en')} payments of history`
  report(
    {
      title,
      machine: ranOn,
      rows: rowsOf(figures),
      json: { options: { ...options, parts: [...options.parts] }, figures },
    },
    options.json,
  )
  for (const { part, what } of missed(figures)) console.log(`  target missed: ${part}: ${what}`)
}

main().catch((error: Error) => {
  console.error(error.stack ?? error.message)
  process.exitCode = 1
})
