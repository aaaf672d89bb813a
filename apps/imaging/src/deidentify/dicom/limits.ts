/** What input may cost at most, checked before anything is allocated. */
export interface Limits {
  /** Sequences within sequences. */
  depth: number
  elements: number
  /** Value of one element that is read as a whole; bulk data (pixels, waveforms) is streamed past it. */
  valueBytes: number
  /** Deflated data set, once inflated. */
  inflatedBytes: number
  /** Inflated over deflated length, past the first megabyte. */
  inflateRatio: number
  /** Frames x rows x columns x samples x bytes, as declared. */
  pixelBytes: number
}

export const LIMITS: Limits = {
  depth: 32,
  elements: 500_000,
  valueBytes: 4 * 1024 ** 2,
  inflatedBytes: 256 * 1024 ** 2,
  inflateRatio: 200,
  pixelBytes: 64 * 1024 ** 3,
}
