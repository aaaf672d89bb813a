import { spawn, spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { shared } from '../../../../test/support/shared.js'
import { deidentify } from './deidentify.js'
import type { Option } from './options.js'

/** The public files, judged by implementations that are not ours. */
const corpus = shared('data/dicom')
const table = shared('data/ps315/ps315-e1-1.json')
const files = corpus ? readdirSync(corpus).filter((name) => name.endsWith('.dcm')) : []
const keys = { uid: Buffer.alloc(32, 1), patient: Buffer.alloc(32, 2), date: Buffer.alloc(32, 3) }

const python = process.env.VIGIL_PYTHON ?? 'python3'
const has = (command: string, ...args: string[]) => spawnSync(command, args).error === undefined
const hasPydicom = spawnSync(python, ['-c', 'import pydicom']).status === 0
const hasDciodvfy = has('dciodvfy', '-version')
if (corpus && !hasPydicom)
  console.warn('skipped: pydicom is not installed (apt-get install python3-pydicom, or set VIGIL_PYTHON)')
if (corpus && !hasDciodvfy) console.warn('skipped: dciodvfy is not installed (apt-get install dicom3tools)')

const PROFILES: [name: string, options: Option[], columns: string[]][] = [
  ['basic', [], []],
  [
    'research',
    [
      'retain-longitudinal-modified-dates',
      'retain-patient-characteristics',
      'clean-descriptors',
      'retain-safe-private',
    ],
    ['rtnLongModifDatesOpt', 'rtnPatCharsOpt', 'cleanDescOpt', 'rtnSafePrivOpt'],
  ],
  [
    'in-house',
    [
      'retain-uids',
      'retain-longitudinal-full-dates',
      'retain-device-identity',
      'retain-institution-identity',
      'clean-structured-content',
      'clean-graphics',
    ],
    [
      'rtnUIDsOpt',
      'rtnLongFullDatesOpt',
      'rtnDevIdOpt',
      'rtnInstIdOpt',
      'cleanStructContOpt',
      'cleanGraphOpt',
    ],
  ],
]

describe.skipIf(!corpus)('150 public files', () => {
  const root = mkdtempSync(join(tmpdir(), 'vigil-deidentified-'))
  const outcomes = new Map<string, Record<string, number>>()

  beforeAll(() => {
    for (const [name, options] of PROFILES) {
      const counts: Record<string, number> = {}
      mkdirSync(join(root, name))
      for (const file of files) {
        const result = deidentify(readFileSync(join(corpus!, file)), {
          options,
          keys,
          policies: { uncheckedPixels: 'pass', documents: 'blank' },
        })
        counts[result.kind] = (counts[result.kind] ?? 0) + 1
        if (result.kind === 'clean') writeFileSync(join(root, name, file), result.bytes)
      }
      outcomes.set(name, counts)
    }
  })
  afterAll(() => rmSync(root, { recursive: true, force: true }))

  test.each(PROFILES)('under "%s" are cleaned, quarantined or refused, each with a reason', (name) => {
    const { clean = 0, quarantined = 0, rejected = 0 } = outcomes.get(name)!
    expect(clean + quarantined + rejected).toBe(files.length)
    expect(clean).toBeGreaterThan(135)
    expect(rejected).toBeLessThan(9)
  })

  test.skipIf(!table || !hasPydicom).each(PROFILES)(
    'under "%s" hold nothing that pydicom finds, and have lost nothing that they were to keep',
    (name, _options, columns) => {
      const check = spawnSync(
        python,
        ['test/conformance/pydicom_check.py', corpus!, join(root, name), table!, ...columns],
        { encoding: 'utf8' },
      )
      expect(check.stderr).toBe('')
      const found = JSON.parse(check.stdout)
      expect(found.files + found.source_unreadable).toBe(outcomes.get(name)!.clean)
      expect(found).toMatchObject({
        values_kept: [],
        text_left: [],
        private_left: 0,
        uids_kept: 0,
        uid_conflicts: 0,
        unreadable: [],
        pixels_changed: [],
        unlisted_lost: [],
        wrongly_lost: [],
        preamble: 0,
        marked: found.files,
      })
    },
  )

  /** What dciodvfy calls errors, each once and without the values that must differ; nothing where it cannot read a file. */
  const errorsOf = (path: string): Promise<Set<string> | undefined> =>
    new Promise((resolve) => {
      const child = spawn('dciodvfy', [path], { stdio: ['ignore', 'ignore', 'pipe'] })
      let text = ''
      child.stderr.setEncoding('latin1').on('data', (chunk: string) => (text += chunk))
      child.on('close', () => {
        const lines = text.split('\n').filter((line) => line.includes('Error - '))
        const unread = lines.some((line) => /read failed|Tags out of order|garbage/.test(line))
        const bare = lines.map((line) =>
          line.replace(/\d+(\.\d+){2,}|(?<=InstanceUID )\d+$/g, 'UID').replace(/\s+/g, ' '),
        )
        resolve(unread ? undefined : new Set(bare))
      })
    })

  /** Errors of the outputs of one file that its input did not have; of a file that cannot be read nothing is said. */
  const addedTo = async (file: string): Promise<string[]> => {
    const before = await errorsOf(join(corpus!, file))
    if (!before) return []
    const outputs = PROFILES.slice(0, 2).map(([name]) => [name, join(root, name, file)] as const)
    const added = outputs.map(async ([name, output]) => {
      if (!existsSync(output)) return []
      const after = (await errorsOf(output)) ?? ['cannot be read']
      return [...after].filter((error) => !before.has(error)).map((error) => `${name} ${file}: ${error}`)
    })
    return (await Promise.all(added)).flat()
  }

  test.skipIf(!hasDciodvfy)(
    'show dciodvfy no error that the input did not have',
    async () => {
      // Headers are what is judged: of files that differ in pixels alone the small ones do.
      const small = files.filter((file) => statSync(join(corpus!, file)).size < 700_000)
      const added: string[] = []
      for (let at = 0; at < small.length; at += 4)
        added.push(...(await Promise.all(small.slice(at, at + 4).map(addedTo))).flat())
      expect(added).toEqual([])
    },
    180_000,
  )
})
