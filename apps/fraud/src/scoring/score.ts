import type { Model } from '#libs/inference'
import { FEATURES, type Feature, type Features, toRow } from '../features/features.js'

/** How much of the score a feature accounts for: the score less what it would be at the feature's usual value. */
export interface Contribution {
  feature: Feature
  value: number
  contribution: number
}

export interface Score {
  /** Probability of fraud, 0..1. */
  probability: number
  contributions: Contribution[]
}

/** The names of features that a model takes and this service does not compute, or in another order. */
export function incompatibleFeatures(declared: readonly string[]): string[] {
  const unknown = declared.filter((name) => !(FEATURES as readonly string[]).includes(name))
  if (unknown.length > 0) return unknown
  return declared.length === FEATURES.length && declared.every((name, at) => name === FEATURES[at])
    ? []
    : FEATURES.filter((name, at) => declared[at] !== name)
}

/** The payment's row, and below it one row for each feature with that feature at its usual value. */
function rowsOf(features: Features, reference: Record<string, number>): Float32Array {
  const row = toRow(features)
  const rows = new Float32Array(row.length * (FEATURES.length + 1))
  rows.set(row)
  for (const [at, name] of FEATURES.entries()) {
    rows.set(row, (at + 1) * row.length)
    rows[(at + 1) * row.length + at] = reference[name] ?? 0
  }
  return rows
}

/**
 * Scores a payment and explains the score by occlusion: one inference over the payment and over copies with one
 * feature each set to its usual value (the card's `reference`). Contributions need not add up to the score.
 */
export async function score(model: Model, features: Features): Promise<Score> {
  const rows = rowsOf(features, model.card.reference ?? {})
  const { probabilities } = await model.run({
    features: { data: rows, dims: [FEATURES.length + 1, FEATURES.length] },
  })
  const fraud = (row: number) => Math.min(1, Math.max(0, probabilities!.data[row * 2 + 1]!))
  const probability = fraud(0)
  const contributions = FEATURES.map((feature, at) => ({
    feature,
    value: features[feature],
    contribution: probability - fraud(at + 1),
  }))
  return { probability, contributions }
}
