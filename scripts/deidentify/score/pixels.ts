import { TextDetector } from '../../../apps/imaging/src/pixels/text/detector.js'
import { seededRandom } from '../../simulate/random.js'
import { burnIn, coverage, fontFamilies } from './burn-in.js'
import type { Score } from './category.js'

/** A word counts as hidden when so much of the box around its ink is blacked out. */
const HIDDEN = 0.8
const MOST_PICTURES = 60

/** Words burned into phantoms in the fonts of this machine, at many sizes and contrasts: how many are found. */
export async function scorePixels(instances: number): Promise<Score[]> {
  const families = fontFamilies()
  const score: Score = {
    category: `words burned into pixels (${families.length} fonts)`,
    right: 0,
    total: 0,
    failed: [],
  }
  const random = seededRandom(7)
  const detector = await TextDetector.load({ threads: 2 })
  for (let at = 0; at < Math.min(instances, MOST_PICTURES) && families.length > 0; at++) {
    const { picture, words, kind, font } = burnIn(random, at, families)
    const regions = await detector.find(picture)
    for (const word of words) {
      score.total++
      if (coverage(word, regions) >= HIDDEN) score.right++
      else score.failed.push(`${kind}, ${font} ${word.size} px`)
    }
  }
  await detector.close()
  return score.total > 0 ? [score] : []
}
