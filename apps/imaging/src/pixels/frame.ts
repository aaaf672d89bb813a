/** One decoded frame: stored pixel values, samples of a pixel side by side. */
export interface Frame {
  rows: number
  columns: number
  samplesPerPixel: number
  photometric: string
  bitsStored: number
  signed: boolean
  /** What the compressed stream says of its samples, where the frame comes out of one. */
  coded?: { precision: number; signed: boolean }
  data: Uint8Array | Uint16Array | Int8Array | Int16Array | Uint32Array | Int32Array
}

/** Why there is no frame: a syntax or layout that is not decoded, or pixel data that is not what the header says. */
export type Undecodable =
  | { kind: 'unsupported'; transferSyntax: string }
  | { kind: 'damaged'; reason: string }
export type Decoded = { kind: 'frame'; frame: Frame } | Undecodable
