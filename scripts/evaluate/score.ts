import { resultOf } from '../../apps/imaging/src/analysis/classify.js'
import { prepare } from '../../apps/imaging/src/analysis/preprocess.js'
import type { Model } from '../../libs/inference/src/model.js'
import type { ByteArray } from '../npz.js'

/** Probability of the positive class for each image of an array [n, rows, columns], by the service's own path. */
export async function scoreImages(
  model: Model,
  { shape, data }: ByteArray,
  progress?: (done: number) => void,
): Promise<number[]> {
  const [count = 0, height = 0, width = 0] = shape
  const scores: number[] = []
  for (let at = 0; at < count; at++) {
    const image = { width, height, data: data.subarray(at * width * height, (at + 1) * width * height) }
    const prepared = prepare(model.card, 'CR', image)
    if (prepared.kind !== 'prepared') throw new Error(`Image ${at} is refused: ${prepared.reason}`)
    const outputs = await model.run({ image: prepared.input })
    scores.push(resultOf(model.card, model.digest, outputs).findings[0]!.probability)
    progress?.(at + 1)
  }
  return scores
}
