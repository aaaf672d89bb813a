import type { RunnableModel } from '#libs/inference'
import { FEATURES, type Feature, type Features } from '../features/features.js'

/** How much of the score a feature accounts for: the score less what it would be at the feature's usual value. */
export interface Contribution {
  feature: Feature
  value: number
  contribution: number
}

export interface Score {
  /** Probability of fraud, 0..1. */
  probability: number
  /** Empty where nobody asked why, or where no feature can have raised the score by as much as is worth telling. */
  contributions: Contribution[]
}

/** A contribution below this is no reason. */
export const LEAST_CONTRIBUTION = 0.01

/** The names of features that a model takes and this service does not compute. */
export const incompatibleFeatures = (declared: readonly string[]): string[] =>
  declared.length === 0
    ? ['none declared']
    : declared.filter((name) => !(FEATURES as readonly string[]).includes(name))

/** The features a model takes, in its order. */
const featuresOf = ({ card }: RunnableModel): Feature[] => card.features as Feature[]

async function probabilities(model: RunnableModel, data: Float32Array, width: number): Promise<Float32Array> {
  const rows = data.length / width
  const { probabilities: values } = await model.run({ features: { data, dims: [rows, width] } })
  return Float32Array.from({ length: rows }, (_, row) => Math.min(1, Math.max(0, values!.data[row * 2 + 1]!)))
}

/** For each payment one row for each feature, with that feature at its usual value. */
function occluded(rows: readonly Float32Array[], usual: readonly number[]): Float32Array {
  const width = usual.length
  const data = new Float32Array(rows.length * width * width)
  for (const [n, row] of rows.entries()) {
    for (let at = 0; at < width; at++) {
      const start = (n * width + at) * width
      data.set(row, start)
      data[start + at] = usual[at]!
    }
  }
  return data
}

/**
 * Scores payments in one inference, and explains those that `explained` names or that score enough to have a reason,
 * by occlusion in a second one: over copies with one feature each set to its usual value (the card's `reference`).
 * Contributions need not add up to the score.
 */
export async function score(
  model: RunnableModel,
  payments: readonly Features[],
  explained: (at: number) => boolean = () => false,
): Promise<Score[]> {
  const names = featuresOf(model)
  const rows = payments.map((features) => Float32Array.from(names, (name) => features[name]))
  const data = new Float32Array(rows.length * names.length)
  for (const [at, row] of rows.entries()) data.set(row, at * names.length)
  const scores = [...(await probabilities(model, data, names.length))].map((probability) => ({
    probability,
    contributions: [] as Contribution[],
  }))
  const asked = [...scores.keys()].filter(
    (at) => explained(at) || scores[at]!.probability >= LEAST_CONTRIBUTION,
  )
  if (asked.length === 0) return scores
  const usual = names.map((name) => model.card.reference?.[name] ?? 0)
  const without = await probabilities(
    model,
    occluded(
      asked.map((at) => rows[at]!),
      usual,
    ),
    names.length,
  )
  for (const [n, at] of asked.entries()) {
    const { probability, contributions } = scores[at]!
    for (const [f, feature] of names.entries())
      contributions.push({
        feature,
        value: payments[at]![feature],
        contribution: probability - without[n * names.length + f]!,
      })
  }
  return scores
}
