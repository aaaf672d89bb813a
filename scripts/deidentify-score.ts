import { parseArgs } from 'node:util'
import type { Score, Scorer } from './deidentify/score/category.js'
import { scoreHeaders } from './deidentify/score/headers.js'
import { scorePixels } from './deidentify/score/pixels.js'

/** Who scores what, and the share that must be dealt with. */
const SCORERS: readonly { score: Scorer; least: number }[] = [
  { score: scoreHeaders, least: 1 },
  { score: scorePixels, least: 0.995 },
]

const percent = ({ right, total }: Pick<Score, 'right' | 'total'>): string =>
  `${((100 * right) / total).toFixed(2)} %`

function line({ category, right, total, failed }: Score): string {
  const score = `  ${percent({ right, total }).padStart(8)}  ${`${right}/${total}`.padStart(12)}  ${category}`
  return [score, ...failed.map((place) => `${' '.repeat(26)}missed: ${place}`)].join('\n')
}

const { values } = parseArgs({ options: { instances: { type: 'string', default: '864' } } })
const scores: Score[] = []
let reached = true
for (const { score, least } of SCORERS) {
  const categories = await score(Number(values.instances))
  scores.push(...categories)
  reached &&= categories.every(({ right, total }) => right >= total * least)
}
console.log('planted identities dealt with, by category (actions as the MIDI-B challenge counts them)')
for (const score of scores) console.log(line(score))
const all = scores.reduce(
  (sum, { right, total }) => ({ right: sum.right + right, total: sum.total + total }),
  { right: 0, total: 0 },
)
console.log(`  ${percent(all).padStart(8)}  ${`${all.right}/${all.total}`.padStart(12)}  all`)
process.exitCode = reached ? 0 : 1
