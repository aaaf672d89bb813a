import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { basename, join, relative, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { SingleBar } from 'cli-progress'
import { EnvelopeError } from '../apps/imaging/src/deidentify/envelope.js'
import { OPTION_NAMES } from '../apps/imaging/src/deidentify/options.js'
import { reidentify } from '../apps/imaging/src/deidentify/originals.js'
import type { FileRecord, FileTask, Naming } from './deidentify/file.js'
import { orderFor, ProfileError, ProfileFile, readProfile } from './deidentify/profile.js'
import { createProjectKey, readProjectKey } from './deidentify/project-key.js'
import { deidentifyAll } from './deidentify/run.js'
import { summarize } from './deidentify/summary.js'

const DEFAULT_KEY = '.data/secrets/deidentification.key'
const USAGE = `npm run deidentify -- IN OUT [--profile FILE] [--option NAME]... [--key FILE [--create-key]] [--threads N] [--report FILE]
De-identifies a DICOM file, or every file below a folder, by the Basic Profile of PS3.15 Annex E. IN is only read.

--profile FILE   options, policies, key and escrow in JSON (docs/deidentification.md; examples in deploy/deidentification)
--option NAME    one more option: ${OPTION_NAMES.join(', ')}
--key FILE       the project's key (default ${DEFAULT_KEY}, made at first use); --create-key makes it
--threads N      worker threads (default ${availableParallelism()} here)
--report FILE    where the report goes (default OUT/report.json; OUT-report.json where files get new names)

npm run deidentify -- --restore IN.dcm OUT.dcm --private-key FILE    puts escrowed originals back

Exit code: 0 all clean, 2 something was quarantined or refused, 1 wrong use or failure.`

const OPTIONS = {
  profile: { type: 'string' },
  option: { type: 'string', multiple: true, default: [] as string[] },
  key: { type: 'string' },
  'create-key': { type: 'boolean', default: false },
  threads: { type: 'string', default: String(availableParallelism()) },
  report: { type: 'string' },
  restore: { type: 'boolean', default: false },
  'private-key': { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const
type Values = ReturnType<typeof parseArgs<{ options: typeof OPTIONS; allowPositionals: true }>>['values']

function tasksOf(input: string): FileTask[] {
  if (!statSync(input).isDirectory()) return [{ input, name: basename(input) }]
  const entries = readdirSync(input, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
    .map((path) => ({ input: path, name: relative(input, path) }))
}

function profileOf(values: Values): ProfileFile {
  const profile = values.profile ? readProfile(values.profile) : ProfileFile.parse({})
  const parsed = ProfileFile.safeParse({
    ...profile,
    options: [...new Set([...profile.options, ...values.option])],
  })
  if (!parsed.success)
    throw new ProfileError(parsed.error.issues.map(({ message }) => `--option: ${message}`).join('; '))
  return parsed.data
}

function keysFor(profile: ProfileFile, values: Values) {
  const path = values.key ?? profile.project_key ?? DEFAULT_KEY
  const first = path === DEFAULT_KEY && !existsSync(path)
  if (values['create-key'] || first) {
    createProjectKey(path)
    console.error(
      `made a new project key: ${path}. Keep it secret, and keep it: without it the next images get other pseudonyms.`,
    )
  }
  return readProjectKey(path)
}

async function deidentify(input: string, output: string, values: Values): Promise<number> {
  const threads = Number(values.threads)
  if (!Number.isInteger(threads) || threads < 1 || threads > 256)
    throw new ProfileError('--threads must be 1 to 256')
  if (!existsSync(input)) throw new ProfileError(`There is nothing at ${input}`)
  const inside = relative(resolve(input), resolve(output))
  if (inside === '' || (!inside.startsWith('..') && statSync(input).isDirectory()))
    throw new ProfileError('OUT must not be IN or below it')
  const profile = profileOf(values)
  const since = Math.floor(Date.now() / 1000) * 1000
  const naming: Naming = profile.file_names === 'uid' ? { kind: 'uid', since } : { kind: 'keep' }
  const data = { profile, keys: keysFor(profile, values), output, naming }
  orderFor(profile, data.keys)
  const tasks = tasksOf(input)
  mkdirSync(output, { recursive: true })
  const records = new Map<string, FileRecord>()
  const bar = new SingleBar({
    format: 'de-identifying {bar} {value}/{total} | {eta} s left',
    noTTYOutput: false,
  })
  bar.start(tasks.length, 0)
  const begun = performance.now()
  await deidentifyAll(tasks, data, threads, ({ name }, record) => {
    records.set(name, record)
    bar.increment()
  })
  const seconds = (performance.now() - begun) / 1000
  bar.stop()
  // Beside new names the old ones would be a key to who is who: such a report does not go with the images.
  const beside = profile.file_names === 'uid' ? `${resolve(output)}-report.json` : join(output, 'report.json')
  const report = values.report ?? beside
  writeFileSync(report, `${JSON.stringify(reportOf(profile, records), null, 2)}\n`, { mode: 0o640 })
  console.log(
    `${tasks.length} files in ${seconds.toFixed(2)} s: ${summarize(records)}\nwhat was done to each: ${report}`,
  )
  const outcomes = new Set([...records.values()].map(({ outcome }) => outcome))
  return outcomes.has('failed') ? 1 : outcomes.has('quarantined') || outcomes.has('rejected') ? 2 : 0
}

/** Which profile, and what became of each file, in the order of their names. */
function reportOf(profile: ProfileFile, records: ReadonlyMap<string, FileRecord>) {
  const { options, policies } = profile
  return {
    profile: 'DICOM PS3.15 2026c Basic Application Level Confidentiality Profile',
    ...{ options, policies },
    files: Object.fromEntries([...records].sort(([a], [b]) => (a < b ? -1 : 1))),
  }
}

function restore(input: string, output: string, values: Values): number {
  if (!values['private-key']) throw new ProfileError('--restore needs --private-key FILE')
  writeFileSync(output, reidentify(readFileSync(input), readFileSync(values['private-key'], 'utf8')), {
    mode: 0o600,
  })
  return 0
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: OPTIONS })
  const [input, output] = positionals
  if (values.help || !input || !output || positionals.length > 2) {
    console.error(USAGE)
    return values.help ? 0 : 1
  }
  return values.restore ? restore(input, output, values) : deidentify(input, output, values)
}

try {
  process.exitCode = await main()
} catch (error) {
  const known = error instanceof ProfileError || error instanceof EnvelopeError
  const code = (error as NodeJS.ErrnoException).code
  if (!known && !code) throw error
  console.error(
    code === 'EEXIST'
      ? 'There is a key already: --create-key never writes over one'
      : (error as Error).message,
  )
  process.exitCode = 1
}
