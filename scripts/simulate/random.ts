/** A seeded source of numbers: the same seed gives the same world. Not for secrets. */
export interface Random {
  /** Uniform in [0, 1). */
  next(): number
  uniform(low: number, high: number): number
  /** Whole number in [0, below). */
  below(limit: number): number
  normal(mean: number, deviation: number): number
  /** Number of events of a Poisson process with this mean. */
  poisson(mean: number): number
  pick<T>(from: readonly T[]): T
}

/** xoshiro128** by Blackman and Vigna, seeded with splitmix32. */
export function seededRandom(seed: number): Random {
  const state = new Uint32Array(4)
  let mix = seed | 0
  for (let at = 0; at < 4; at++) {
    mix = (mix + 0x9e3779b9) | 0
    let word = Math.imul(mix ^ (mix >>> 16), 0x21f0aaad)
    word = Math.imul(word ^ (word >>> 15), 0x735a2d97)
    state[at] = word ^ (word >>> 15)
  }
  const rotate = (value: number, by: number) => (value << by) | (value >>> (32 - by))
  const next = () => {
    const [a, b, c, d] = state as unknown as [number, number, number, number]
    const result = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0
    const [c2, d2] = [c ^ a, d ^ b]
    state.set([a ^ d2, b ^ c2, c2 ^ (b << 9), rotate(d2, 11)])
    return result / 2 ** 32
  }
  const normal = (mean: number, deviation: number) =>
    mean + deviation * Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next())
  const poisson = (mean: number) => {
    let count = 0
    for (let product = next(); product > Math.exp(-mean); product *= next()) count++
    return count
  }
  return {
    next,
    uniform: (low, high) => low + (high - low) * next(),
    below: (limit) => Math.floor(next() * limit),
    normal,
    poisson,
    pick: (from) => from[Math.floor(next() * from.length)]!,
  }
}
