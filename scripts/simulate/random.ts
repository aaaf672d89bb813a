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
  let mix = seed | 0
  const word = () => {
    mix = (mix + 0x9e3779b9) | 0
    let mixed = Math.imul(mix ^ (mix >>> 16), 0x21f0aaad)
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97)
    return mixed ^ (mixed >>> 15)
  }
  let [a, b, c, d] = [word(), word(), word(), word()]
  const rotate = (value: number, by: number) => (value << by) | (value >>> (32 - by))
  const next = () => {
    const result = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0
    const shifted = b << 9
    c ^= a
    d ^= b
    b ^= c
    a ^= d
    c ^= shifted
    d = rotate(d, 11)
    return result / 2 ** 32
  }
  const normal = (mean: number, deviation: number) =>
    mean + deviation * Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next())
  const poisson = (mean: number) => {
    let count = 0
    const limit = Math.exp(-mean)
    for (let product = next(); product > limit; product *= next()) count++
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
