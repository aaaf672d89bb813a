import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { parseArgs } from 'node:util'
import { SingleBar } from 'cli-progress'
import { type Deidentified, deidentify } from '../apps/imaging/src/deidentify/deidentify.js'
import { OPTIONS, type Option } from '../apps/imaging/src/deidentify/options.js'
import { LocalKeyring } from '../libs/crypto/src/keyring.js'

const USAGE = `npm run deidentify -- IN OUT [--option NAME]... [--keyring FILE]
De-identifies a DICOM file, or every file of a folder, by the Basic Profile of PS3.15 Annex E.
Options: ${Object.keys(OPTIONS).join(', ')}
Exit code: 0 all clean, 2 something was quarantined or rejected, 1 wrong use.`

function filesOf(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path]
  const names = readdirSync(path, { recursive: true, encoding: 'utf8' })
  return names.map((name) => join(path, name)).filter((file) => statSync(file).isFile())
}

function describe(result: Deidentified): Record<string, unknown> {
  if (result.kind === 'rejected')
    return {
      outcome: 'rejected',
      code: result.error.code,
      offset: result.error.offset,
      path: result.error.path,
    }
  if (result.kind === 'quarantined')
    return { outcome: 'quarantined', reason: result.reason, path: result.path }
  return { outcome: 'clean', actions: result.report }
}

function main(): number {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      option: { type: 'string', multiple: true, default: [] },
      keyring: { type: 'string', default: '.data/secrets/keyring.json' },
      help: { type: 'boolean' },
    },
  })
  const [input, output] = positionals
  const unknown = values.option.filter((name) => !(name in OPTIONS))
  if (values.help || !input || !output || unknown.length > 0) {
    console.error(unknown.length > 0 ? `Unknown option: ${unknown.join(', ')}\n\n${USAGE}` : USAGE)
    return 1
  }
  const keyring = LocalKeyring.open(values.keyring)
  const keys = {
    uid: keyring.derive('deidentify uid'),
    patient: keyring.derive('deidentify patient'),
    date: keyring.derive('deidentify date'),
  }
  const files = filesOf(input)
  mkdirSync(output, { recursive: true })
  const bar = new SingleBar({ format: 'de-identifying {bar} {value}/{total} | {eta} s left' })
  const report: Record<string, unknown> = {}
  const counts = { clean: 0, quarantined: 0, rejected: 0 }
  bar.start(files.length, 0)
  for (const [at, file] of files.entries()) {
    const result = deidentify(readFileSync(file), { options: values.option as Option[], keys })
    counts[result.kind]++
    report[basename(file)] = describe(result)
    if (result.kind === 'clean') writeFileSync(join(output, basename(file)), result.bytes)
    bar.update(at + 1)
  }
  bar.stop()
  writeFileSync(join(output, 'report.json'), `${JSON.stringify(report, null, 2)}\n`)
  console.log(
    `${counts.clean} clean, ${counts.quarantined} quarantined, ${counts.rejected} rejected; what was done to each: ${join(output, 'report.json')}`,
  )
  return counts.quarantined + counts.rejected > 0 ? 2 : 0
}

process.exitCode = main()
