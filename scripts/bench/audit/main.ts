import { parseArgs } from 'node:util'
import { createPool } from '#libs/platform'
import { machine, report } from '../report.js'
import { measureVerifying } from './exports.js'
import { appendLoad } from './load.js'
import { measureProofs } from './proofs.js'
import { benchQueries } from './queries.js'
import { drain } from './sequencer.js'
import { startBenchServer } from './server.js'
import { measureStorage } from './storage.js'
import { measureWrites } from './writes.js'

const USAGE = `npm run bench:audit [-- --only writes,sequencer,proofs,exports,queries]
The audit log, everything on one server of this machine. BENCH_JSON=FILE also writes the figures there.`

const PARTS = ['writes', 'sequencer', 'proofs', 'exports', 'queries']
const round = (value: number, digits = 0) => Number(value.toFixed(digits))

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { only: { type: 'string' }, help: { type: 'boolean' } } })
  const parts = values.only?.split(',') ?? PARTS
  if (values.help || parts.some((part) => !PARTS.includes(part))) {
    console.log(USAGE)
    return
  }
  const has = (part: string) => parts.includes(part)
  const here = machine()
  const server = await startBenchServer()
  try {
    if (has('writes')) {
      const { alone, recorded, ratio } = await measureWrites(server)
      report({
        title:
          'A business row alone and with its audit entry, the sequencer running, 16 clients (target: 0.65 of the rate)',
        machine: here,
        rows: [
          { what: 'business row alone', 'commits/s': round(alone), ratio: 1 },
          { what: 'business row and entry', 'commits/s': round(recorded), ratio: round(ratio, 2) },
        ],
      })
    }
    if (has('sequencer')) {
      const pool = createPool(server.url('vigil_sequencer'), { applicationName: 'bench-sequencer', max: 2 })
      await drain(pool)
      await appendLoad(server.adminUrl, 0, 100_000)
      const { entries, seconds } = await drain(pool)
      await pool.end()
      report({
        title: 'The sequencer alone (target: 15,000 entries/s)',
        machine: here,
        rows: [{ entries, seconds: round(seconds, 2), 'entries/s': round(entries / seconds) }],
      })
      report({ title: 'Storage', machine: here, rows: await measureStorage(server) })
    }
    if (has('proofs')) {
      const rows = []
      for (const size of [1_000, 10_000, 100_000, 1_000_000]) rows.push(await measureProofs(server, size))
      report({ title: 'Proofs against the size of the log (means of 200)', machine: here, rows })
    }
  } finally {
    await server.stop()
  }
  if (has('exports')) {
    const rows = []
    for (const entries of [10_000, 100_000, 1_000_000]) rows.push(await measureVerifying(entries))
    report({
      title: 'Verifying an export offline (target: 1,000,000 in 15 s, memory flat)',
      machine: here,
      rows,
    })
  }
  if (has('queries')) await benchQueries()
}

main().then(
  () => process.exit(0),
  (error: Error) => {
    console.error(error)
    process.exit(1)
  },
)
