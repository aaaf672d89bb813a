import type { ModelCard, Values } from '#libs/inference'
import type { AnalysisModel } from '../imaging.js'
import type { AnalysisResult } from './result.js'

/** What reached the model's door was not pixels of its shape: nothing of it is let in. */
export class BoundaryError extends Error {
  override readonly name = 'BoundaryError'
}

/** How far a mean of 32-bit shades may come out above white. */
const ROUNDING = 1e-5

/**
 * The only thing that ever enters a model: numbers from 0 to 1 in the card's shape, for one image. No object, no text,
 * no metadata can pass.
 */
export function modelInput(card: ModelCard, pixels: unknown): Record<string, Values> {
  const [input, ...others] = card.inputs
  if (!input || others.length > 0) throw new BoundaryError('An image model takes one input')
  const dims = input.shape.map((size) => size ?? 1)
  const count = dims.reduce((product, size) => product * size, 1)
  const isPlain = pixels instanceof Float32Array && Object.getPrototypeOf(pixels) === Float32Array.prototype
  if (!isPlain || pixels.length !== count) throw new BoundaryError(`A model takes ${count} pixels`)
  if (!pixels.every((value) => value >= 0 && value <= 1 + ROUNDING))
    throw new BoundaryError('A pixel is a number from 0 to 1')
  return { [input.name]: { data: pixels, dims } }
}

/** Reads the probability of the card's last label and decides by the card's threshold. Pure. */
export function resultOf(card: ModelCard, digest: string, outputs: Record<string, Values>): AnalysisResult {
  const probability = outputs[card.outputs[0]?.name ?? '']?.data[0]
  const [negative, positive] = card.labels ?? []
  if (probability === undefined || !(probability >= 0 && probability <= 1) || !negative || !positive)
    throw new BoundaryError('A model gave no probability')
  const isPositive = probability >= (card.threshold ?? 0.5)
  return {
    prediction: isPositive ? positive : negative,
    confidence: isPositive ? probability : 1 - probability,
    findings: [
      { label: positive, probability },
      { label: negative, probability: 1 - probability },
    ],
    model: { name: card.name, version: card.version, sha256: digest },
  }
}

/** Runs a model on the pixels of one image. */
export async function classify(model: AnalysisModel, pixels: unknown): Promise<AnalysisResult> {
  const outputs = await model.run(modelInput(model.card, pixels))
  return resultOf(model.card, model.digest, outputs)
}

/** The model for a modality, by the models' own cards; undefined where there is none. */
export const modelFor = (models: readonly AnalysisModel[], modality: string): AnalysisModel | undefined =>
  models.find(({ card }) => card.domain?.modalities.includes(modality))
