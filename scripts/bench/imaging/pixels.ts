import { TextDetector } from '../../../apps/imaging/src/pixels/text/detector.js'
import { burnIn, fontFamilies } from '../../deidentify/score/burn-in.js'
import { seededRandom } from '../../simulate/random.js'
import type { Row } from '../report.js'

const SIZES = [
  [512, 512],
  [1024, 768],
] as const
const RUNS = 5

/** A picture of this size, filled with one that has text. */
function pictureOf(width: number, height: number) {
  const { picture } = burnIn(seededRandom(3), 0, fontFamilies())
  const rgb = new Uint8Array(width * height * 3)
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const from = ((y % picture.height) * picture.width + (x % picture.width)) * 3
      rgb.set(picture.rgb.subarray(from, from + 3), (y * width + x) * 3)
    }
  return { width, height, rgb }
}

/** Time to find text in one frame, by size, threads of the network and enlargement. */
export async function benchPixels(): Promise<Row[]> {
  const rows: Row[] = []
  for (const threads of [1, 2]) {
    const detector = await TextDetector.load({ threads })
    for (const [width, height] of SIZES)
      for (const enlarged of [1, 2]) {
        const picture = pictureOf(width, height)
        await detector.find(picture, enlarged)
        const times: number[] = []
        for (let run = 0; run < RUNS; run++) {
          const since = performance.now()
          await detector.find(picture, enlarged)
          times.push(performance.now() - since)
        }
        const ms = times.sort((a, b) => a - b)[Math.floor(RUNS / 2)]!
        rows.push({
          frame: `${width} x ${height}`,
          looked_at: `${enlarged}x`,
          threads,
          ms: Math.round(ms),
          frames_per_s: Number((1000 / ms).toFixed(2)),
        })
      }
    await detector.close()
  }
  return rows
}
