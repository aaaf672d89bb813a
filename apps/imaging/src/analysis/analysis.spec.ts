import { describe, expect, test } from 'vitest'
import type { ModelCard } from '#libs/inference'
import { BoundaryError, classify, modelFor, modelInput, resultOf } from './classify.js'
import { summarize } from './deidentify-image.js'
import { AnalysisResult, withoutPrediction } from './result.js'

const card = {
  name: 'tiny',
  version: 'v1',
  inputs: [{ name: 'image', dtype: 'float32', shape: [null, 1, 2, 2] }],
  outputs: [{ name: 'probability', dtype: 'float32', shape: [null] }],
  domain: { modalities: ['CR'], min_size: 2 },
  labels: ['normal', 'pneumonia'],
  threshold: 0.4,
} as unknown as ModelCard
const gives = (probability: number) => ({ probability: { data: Float32Array.of(probability), dims: [1] } })

describe('the door of a model', () => {
  const pixels = Float32Array.of(0, 0.5, 1, 0.25)

  test('lets the pixels of one image in, and nothing beside them', () => {
    expect(modelInput(card, pixels)).toEqual({ image: { data: pixels, dims: [1, 1, 2, 2] } })
  })

  class Tagged extends Float32Array {
    patient = 'DOE^JANE'
  }
  test.each([
    ['too few pixels', Float32Array.of(0, 1)],
    ['bytes', new Uint8Array(4)],
    ['an ordinary array', [0, 0, 0, 0]],
    ['text', 'DOE^JANE'],
    ['an object', { data: pixels, patient: 'DOE^JANE' }],
    ['pixels that carry something', new Tagged(4)],
    ['a value above 1', Float32Array.of(0, 2, 0, 0)],
    ['a negative value', Float32Array.of(0, -1, 0, 0)],
    ['NaN', Float32Array.of(0, Number.NaN, 0, 0)],
  ])('refuses %s', async (_name, input) => {
    let called = false
    const run = async () => {
      called = true
      return gives(0.5)
    }
    await expect(classify({ card, digest: 'd', run }, input)).rejects.toThrow(BoundaryError)
    expect(called).toBe(false)
  })
})

describe('the finding', () => {
  test.each([
    [0.39, 'normal', 0.61],
    [0.4, 'pneumonia', 0.4],
    [1, 'pneumonia', 1],
    [0, 'normal', 1],
  ])('probability %d is %s', (probability, prediction, confidence) => {
    const result = AnalysisResult.parse(resultOf(card, 'd', gives(probability)))
    expect(result.prediction).toBe(prediction)
    expect(result.confidence).toBeCloseTo(confidence, 6)
    expect(result.findings.reduce((sum, finding) => sum + finding.probability, 0)).toBeCloseTo(1, 6)
  })

  test.each([Number.NaN, -0.1, 1.1])('probability %d is no finding', (probability) => {
    expect(() => resultOf(card, 'd', gives(probability))).toThrow(BoundaryError)
  })

  test('models are chosen by the modalities of their cards', () => {
    const model = { card, digest: 'd', run: async () => gives(0.5) }
    expect(modelFor([model], 'CR')).toBe(model)
    expect(modelFor([model], 'CT')).toBeUndefined()
  })

  test('without a prediction there is a reason', () => {
    expect(AnalysisResult.parse(withoutPrediction('no_pixels', 'none')).reason?.code).toBe('no_pixels')
  })
})

test('a de-identification is summed up in counts', () => {
  const report = [
    { path: '00100010', action: 'empty' as const },
    { path: '00100020', action: 'empty' as const },
    { path: '00080018', action: 'uid' as const },
  ]
  expect(summarize(report, ['retain-uids'], 'clean')).toMatchObject({
    options: ['retain-uids'],
    outcome: 'clean',
    actions: { empty: 2, uid: 1 },
  })
})
