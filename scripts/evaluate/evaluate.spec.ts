import { cpSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { Model, ModelError } from '#libs/inference'
import { shared } from '../../test/support/shared.js'
import { readNpz } from '../npz.js'
import { metricsOf } from './metrics.js'
import { scoreImages } from './score.js'

const FOLDER = 'models/chest-xray-pneumonia/v1'

test('metrics of a small example worked by hand', () => {
  const metrics = metricsOf([0.1, 0.4, 0.35, 0.8], [false, false, true, true], 0.5)
  expect(metrics).toMatchObject({ auc: 0.75, accuracy: 0.75, sensitivity: 0.5, specificity: 1 })
})

const data = shared('data/pneumonia/pneumoniamnist-trainval.npz')
test.skipIf(!data)(
  'the served model reproduces the figures of its card, through the service code',
  async () => {
    const arrays = readNpz(readFileSync(data!))
    const model = await Model.load(FOLDER)
    const scores = await scoreImages(model, arrays.get('val_images')!)
    const truth = [...arrays.get('val_labels')!.data].map((label) => label === 1)
    const metrics = metricsOf(scores, truth, model.card.threshold!)
    for (const name of ['auc', 'accuracy', 'sensitivity', 'specificity', 'ece'] as const) {
      expect(Math.abs(metrics[name] - (model.card.metrics[name] as number)), name).toBeLessThan(2e-3)
    }
    await model.close()
  },
  60_000,
)

test('an altered model is refused, and so is input of another shape, with the difference named', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'vigil-model-'))
  cpSync(FOLDER, folder, { recursive: true })
  const artifact = readFileSync(join(folder, 'model.onnx'))
  artifact[artifact.length - 100]! ^= 1
  writeFileSync(join(folder, 'model.onnx'), artifact)
  await expect(Model.load(folder, { trusted: join(FOLDER, '../../keys') })).rejects.toThrow(
    /model\.onnx was altered/,
  )
  const model = await Model.load(FOLDER)
  await expect(model.run({ image: { data: new Float32Array(10), dims: [1, 1, 10] } })).rejects.toThrow(
    /takes image as \[n, 1, 28, 28\]/,
  )
  await expect(model.run({})).rejects.toThrow(ModelError)
  await model.close()
})
