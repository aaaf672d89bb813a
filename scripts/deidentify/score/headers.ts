import { type Deidentified, deidentify } from '../../../apps/imaging/src/deidentify/deidentify.js'
import { parseInstance } from '../../../apps/imaging/src/deidentify/dicom/parse.js'
import type { Option } from '../../../apps/imaging/src/deidentify/options.js'
import { plantInstance, type Task } from '../../simulate/dicom/plant.js'
import { SYNTAXES, type Syntax } from '../../simulate/dicom/write.js'
import type { Score } from './category.js'

const RUN = 6
const ESCAPE = new RegExp(`${String.fromCharCode(0x1b)}(?:\\$\\([A-Z]|\\$\\)[A-Z]|\\$[@A-Z]|[()-][A-Za-z])`)
const keys = { uid: Buffer.alloc(32, 1), patient: Buffer.alloc(32, 2), date: Buffer.alloc(32, 3) }
const PROFILES: readonly Option[][] = [
  [],
  ['clean-descriptors', 'retain-longitudinal-modified-dates'],
  [
    'clean-descriptors',
    'clean-structured-content',
    'clean-graphics',
    'retain-patient-characteristics',
    'retain-safe-private',
  ],
]
const syntaxes = Object.keys(SYNTAXES) as Syntax[]

/** What the output says, apart from pixels and from replaced UIDs: these are long random numbers, in which digits meet by chance. */
function searchable(bytes: Buffer): Buffer {
  const { dataset, elements, meta } = parseInstance(bytes)
  const pixels = elements.find(({ tag }) => tag === 0x7fe00010)
  const header = pixels ? dataset.subarray(0, pixels.start) : dataset
  const text = Buffer.concat([
    ...meta.values(),
    header,
    pixels ? dataset.subarray(pixels.end) : Buffer.alloc(0),
  ])
  return Buffer.from(text.toString('latin1').replace(/2\.25\.\d+/g, ''), 'latin1')
}

/** Whether a run of six bytes of a value is left; ISO 2022 escape sequences are of the character set, not of the name. */
function isLeft(text: Buffer, value: Buffer): boolean {
  const telling = value.toString('latin1').split(ESCAPE)
  return telling.some((piece) => {
    for (let at = 0; at + RUN <= piece.length; at++)
      if (text.includes(Buffer.from(piece.slice(at, at + RUN), 'latin1'))) return true
    return false
  })
}

function isRight(task: Task, outcome: Deidentified): boolean {
  // What is held back has leaked nothing, and kept nothing either.
  if (outcome.kind !== 'clean') return task.kept === undefined
  if (task.gone) {
    const text = searchable(outcome.bytes)
    return task.whole ? !text.includes(task.gone) : !isLeft(text, task.gone)
  }
  return parseInstance(outcome.bytes).dataset.includes(task.kept!)
}

/** Scores headers: planted identities of every kind, under several profiles, in every transfer syntax that needs no codec. */
export function scoreHeaders(instances: number): Score[] {
  const scores = new Map<string, Score>()
  for (let seed = 0; seed < instances; seed++) {
    const planted = plantInstance(seed, syntaxes[seed % syntaxes.length])
    const options = PROFILES[Math.floor(seed / syntaxes.length) % PROFILES.length]!
    const outcome = deidentify(planted.bytes, { options, keys })
    for (const task of planted.tasks) {
      const score = scores.get(task.category) ?? { category: task.category, right: 0, total: 0, failed: [] }
      scores.set(task.category, score)
      score.total++
      if (isRight(task, outcome)) score.right++
      else if (score.failed.length < 5) score.failed.push(`seed ${seed} ${task.place} (${outcome.kind})`)
    }
  }
  return [...scores.values()].sort((a, b) => a.category.localeCompare(b.category))
}
