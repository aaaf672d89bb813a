import { readFileSync } from 'node:fs'
import { SingleBar } from 'cli-progress'
import { Model } from '../libs/inference/src/model.js'
import { metricsOf } from './evaluate/metrics.js'
import { scoreImages } from './evaluate/score.js'
import { readNpz } from './npz.js'

const USAGE = `npm run imaging:evaluate -- FILE.npz [SPLIT]
Scores the images of a MedMNIST file (arrays SPLIT_images, SPLIT_labels; default: test, else val, else train) with the
chest X-ray model, by the service's own preprocessing. The last line is JSON.`

async function main(): Promise<number> {
  const [file, wanted] = process.argv.slice(2)
  if (!file) {
    console.error(USAGE)
    return 1
  }
  const arrays = readNpz(readFileSync(file))
  const split = [wanted ?? 'test', 'val', 'train'].find(
    (name) => arrays.has(`${name}_images`) && arrays.has(`${name}_labels`),
  )
  if (!split) throw new Error('The file has no arrays *_images and *_labels')
  const model = await Model.load('models/chest-xray-pneumonia/v1')
  const images = arrays.get(`${split}_images`)!
  const truth = [...arrays.get(`${split}_labels`)!.data].map((label) => label === 1)
  const bar = new SingleBar({ format: `${split} {bar} {value}/{total}` })
  bar.start(truth.length, 0)
  const scores = await scoreImages(model, images, (done) => bar.update(done))
  bar.stop()
  const metrics = metricsOf(scores, truth, model.card.threshold ?? 0.5)
  console.log(`${split} split, ${truth.length} images, threshold ${model.card.threshold}`)
  console.log(JSON.stringify(metrics))
  await model.close()
  return 0
}

main().then(
  (code) => {
    process.exitCode = code
  },
  (error: Error) => {
    console.error(error.message)
    process.exitCode = 1
  },
)
