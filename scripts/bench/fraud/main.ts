import { writeFileSync } from 'node:fs'
import { measureBatch } from './batch.js'
import { Bench } from './bench.js'
import { measureHistory } from './history.js'
import { hasWrk } from './load.js'
import { measureModel } from './model.js'
import { type Part, readOptions } from './options.js'
import { pgbench } from './pgbench.js'
import { measureProfile } from './profile.js'
import { measureReplicas } from './replicas.js'
import { failures, machine, table } from './report.js'
import { measureAlone, measureSingle } from './single.js'

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
  const where = machine(bench.server.version)
  console.log(`\n${table(bench.figures)}\n\n${where.text}`)
  if (options.json)
    writeFileSync(options.json, `${JSON.stringify({ machine: where, figures: bench.figures }, null, 2)}\n`)
  for (const { part, what } of failures(bench.figures)) console.log(`target missed: ${part}: ${what}`)
}

main().catch((error: Error) => {
  console.error(error.message)
  process.exitCode = 1
})
