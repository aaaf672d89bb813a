/** One PackBits segment (PS3.5 G.3) into `length` bytes; undefined where it is damaged. */
function unpackSegment(source: Buffer, length: number): Buffer | undefined {
  const out = Buffer.alloc(length)
  let to = 0
  for (let at = 0; at < source.length && to < length; ) {
    const control = source.readInt8(at++)
    if (control >= 0) {
      const count = Math.min(control + 1, length - to, source.length - at)
      source.copy(out, to, at, at + count)
      at += control + 1
      to += count
    } else if (control !== -128) {
      if (at >= source.length) return undefined
      const count = Math.min(1 - control, length - to)
      out.fill(source[at++]!, to, to + count)
      to += count
    }
  }
  return to === length ? out : undefined
}

/**
 * An RLE frame (PS3.5 G) as native little-endian bytes with samples interleaved; undefined where it is damaged.
 * Segments hold one byte plane each, most significant first, sample by sample.
 */
export function decodeRle(
  fragment: Buffer,
  pixels: number,
  samples: number,
  bytesPerSample: number,
): Buffer | undefined {
  if (fragment.length < 64 || fragment.readUInt32LE(0) !== samples * bytesPerSample) return undefined
  const count = samples * bytesPerSample
  const offsets = Array.from({ length: count }, (_, at) => fragment.readUInt32LE(4 + at * 4))
  const out = Buffer.alloc(pixels * count)
  for (const [segment, from] of offsets.entries()) {
    const to = offsets[segment + 1] ?? fragment.length
    if (from < 64 || to < from || to > fragment.length) return undefined
    const plane = unpackSegment(fragment.subarray(from, to), pixels)
    if (!plane) return undefined
    const sample = Math.floor(segment / bytesPerSample)
    const place = sample * bytesPerSample + (bytesPerSample - 1 - (segment % bytesPerSample))
    for (let pixel = 0; pixel < pixels; pixel++) out[pixel * count + place] = plane[pixel]!
  }
  return out
}
