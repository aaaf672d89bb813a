import type { Feature, Features } from '../features/features.js'

/** The features a decision was made on, as float64 in the order of a feature set's names. */
export function pack(features: Features, names: readonly Feature[]): Buffer {
  const bytes = Buffer.allocUnsafe(names.length * 8)
  for (const [at, name] of names.entries()) bytes.writeDoubleBE(features[name], at * 8)
  return bytes
}

/** The snapshot by name, bit for bit what was packed. */
export const unpack = (bytes: Buffer, names: readonly string[]): Record<string, number> =>
  Object.fromEntries(names.map((name, at) => [name, bytes.readDoubleBE(at * 8)]))

const ABSENT = '"features":{}'

/** An answer is kept without its features, which are kept as numbers: JSON writes the same number always the same. */
export const withoutFeatures = (answer: object): string => JSON.stringify({ ...answer, features: {} })

/** The answer as it was first given. No other place of it can hold those characters: quotes in texts are escaped. */
export const withFeatures = (stored: string, features: object): string =>
  stored.replace(ABSENT, () => `"features":${JSON.stringify(features)}`)
