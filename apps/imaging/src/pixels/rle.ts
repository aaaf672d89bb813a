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

/** PackBits of one plane: runs of two or more, else literals of up to 128 bytes. */
function packSegment(plane: Uint8Array): Buffer {
  const out: number[] = []
  for (let at = 0; at < plane.length; ) {
    let run = 1
    while (run < 128 && plane[at + run] === plane[at]) run++
    if (run > 1) {
      out.push(257 - run, plane[at]!)
      at += run
      continue
    }
    const from = at
    while (at < plane.length && at - from < 128 && (at + 1 === plane.length || plane[at] !== plane[at + 1]))
      at++
    out.push(at - from - 1, ...plane.subarray(from, at))
  }
  return Buffer.from(out)
}

/** Native little-endian bytes with samples interleaved as an RLE frame (PS3.5 G). Rows are packed one by one (G.3.1). */
export function encodeRle(
  bytes: Uint8Array,
  columns: number,
  samples: number,
  bytesPerSample: number,
): Buffer {
  const count = samples * bytesPerSample
  const pixels = bytes.length / count
  const header = Buffer.alloc(64)
  header.writeUInt32LE(count, 0)
  const segments: Buffer[] = []
  let offset = 64
  for (let segment = 0; segment < count; segment++) {
    const sample = Math.floor(segment / bytesPerSample)
    const place = sample * bytesPerSample + (bytesPerSample - 1 - (segment % bytesPerSample))
    const rows: Buffer[] = []
    for (let row = 0; row * columns < pixels; row++) {
      const plane = Uint8Array.from(
        { length: columns },
        (_, column) => bytes[(row * columns + column) * count + place]!,
      )
      rows.push(packSegment(plane))
    }
    header.writeUInt32LE(offset, 4 + segment * 4)
    const packed = Buffer.concat(rows)
    const whole = packed.length % 2 ? Buffer.concat([packed, Buffer.of(0)]) : packed
    segments.push(whole)
    offset += whole.length
  }
  return Buffer.concat([header, ...segments])
}
