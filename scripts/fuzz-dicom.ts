import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import fc from 'fast-check'
import { deidentify } from '../apps/imaging/src/deidentify/deidentify.js'
import { parseInstance } from '../apps/imaging/src/deidentify/dicom/parse.js'
import { changes, mutated } from '../test/support/mutate.js'
import { simulateInstance } from './simulate/dicom/study.js'
import { SYNTAXES, type Syntax } from './simulate/dicom/write.js'

const USAGE = `npm run fuzz:dicom -- [FOLDER] [--seconds N] [--seed N]
Breaks DICOM files (those of FOLDER, else simulated ones) in every way it can think of and feeds them to the parser and
the de-identifier. Each must be cleaned, quarantined or refused, within two seconds, and what is cleaned must be readable.
A file that does worse is kept, and its name is told. Exit code 1 then.`

const MOST_BYTES = 300_000
const LONGEST_MS = 2_000
const keys = { uid: Buffer.alloc(32, 1), patient: Buffer.alloc(32, 2), date: Buffer.alloc(32, 3) }

function seeds(folder: string | undefined): Buffer[] {
  if (!folder)
    return (Object.keys(SYNTAXES) as Syntax[]).map(
      (syntax) => simulateInstance({ seed: 1, kind: 'MR', syntax }).bytes,
    )
  return readdirSync(folder)
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile() && statSync(path).size <= MOST_BYTES)
    .map((path) => readFileSync(path))
}

/** What is wrong with how a file was taken; undefined where nothing is. */
function fault(bytes: Buffer): string | undefined {
  const begun = performance.now()
  try {
    const result = deidentify(bytes, {
      options: [],
      keys,
      policies: { uncheckedPixels: 'pass', documents: 'blank' },
    })
    if (result.kind === 'clean') parseInstance(result.bytes)
  } catch (error) {
    return `threw ${(error as Error).stack}`
  }
  const ms = performance.now() - begun
  return ms > LONGEST_MS ? `took ${Math.round(ms)} ms` : undefined
}

function main(): number {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      seconds: { type: 'string', default: '60' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      help: { type: 'boolean', short: 'h' },
    },
  })
  if (values.help) {
    console.log(USAGE)
    return 0
  }
  const files = seeds(positionals[0])
  const seed = Number(values.seed)
  const end = Date.now() + Number(values.seconds) * 1000
  let runs = 0
  for (let round = 0; Date.now() < end; round++) {
    const found = fc.check(
      fc.property(fc.nat(files.length - 1), changes, (at, list) => {
        runs++
        return fault(mutated(files[at]!, list)) === undefined
      }),
      { numRuns: 500, seed: seed + round, interruptAfterTimeLimit: Math.max(1, end - Date.now()) },
    )
    if (!found.failed || !found.counterexample) continue
    const [at, list] = found.counterexample
    const path = join(tmpdir(), `vigil-fuzz-${seed + round}.dcm`)
    writeFileSync(path, mutated(files[at]!, list))
    console.error(`seed ${seed + round}: ${fault(mutated(files[at]!, list))}\nkept as ${path}`)
    return 1
  }
  console.log(
    `${runs} broken files out of ${files.length}, seed ${seed}: each cleaned, quarantined or refused in time`,
  )
  return 0
}

process.exitCode = main()
