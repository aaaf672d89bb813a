/** One plane or several, samples of a pixel side by side, each below 2^precision. */
export interface Samples {
  width: number
  height: number
  components: number
  precision: number
  data: Uint8Array | Uint16Array
}

/** Difference categories 0 to 16 (ITU-T T.81 H.1.2.2), each with a code of five bits: no statistics are needed. */
const CATEGORIES = 17

class BitWriter {
  private readonly chunks: number[] = []
  private held = 0
  private count = 0

  write(value: number, bits: number): void {
    for (let bit = bits - 1; bit >= 0; bit--) {
      this.held = (this.held << 1) | ((value >> bit) & 1)
      if (++this.count === 8) this.flush()
    }
  }

  /** A byte FF is followed by 00, so that it is not taken for a marker. */
  private flush(): void {
    this.chunks.push(this.held)
    if (this.held === 0xff) this.chunks.push(0)
    this.held = 0
    this.count = 0
  }

  end(): Buffer {
    while (this.count > 0) this.write(1, 1)
    return Buffer.from(this.chunks)
  }
}

function segment(marker: number, content: number[]): Buffer {
  const length = content.length + 2
  return Buffer.from([0xff, marker, length >> 8, length & 0xff, ...content])
}

const categoryOf = (difference: number): number => 32 - Math.clz32(Math.abs(difference))

/** The difference of a sample to its prediction, modulo 2^16, from -32767 to 32768. */
function difference(value: number, prediction: number): number {
  const wrapped = (value - prediction) & 0xffff
  return wrapped > 32_768 ? wrapped - 65_536 : wrapped
}

/** Prediction by selection value 1: the sample to the left; above at the start of a row; half the range at the first. */
function predict({ data, width, components, precision }: Samples, pixel: number, component: number): number {
  if (pixel === 0) return 2 ** (precision - 1)
  const from = pixel % width === 0 ? pixel - width : pixel - 1
  return data[from * components + component]!
}

function scan(samples: Samples): Buffer {
  const bits = new BitWriter()
  const { width, height, components, data } = samples
  for (let pixel = 0; pixel < width * height; pixel++) {
    for (let component = 0; component < components; component++) {
      const by = difference(data[pixel * components + component]!, predict(samples, pixel, component))
      const category = categoryOf(by)
      bits.write(category, 5)
      if (category > 0 && category < 16) bits.write(by > 0 ? by : by + 2 ** category - 1, category)
    }
  }
  return bits.end()
}

/** Encodes by JPEG lossless, process 14, selection value 1 (ITU-T T.81 annex H): what DICOM calls 1.2.840.10008.1.2.4.70. */
export function encodeJpegLossless(samples: Samples): Buffer {
  const { width, height, components, precision } = samples
  const ids = Array.from({ length: components }, (_, at) => at + 1)
  const counts = Array.from({ length: 16 }, (_, at) => (at === 4 ? CATEGORIES : 0))
  const categories = Array.from({ length: CATEGORIES }, (_, at) => at)
  return Buffer.concat([
    Buffer.from([0xff, 0xd8]),
    segment(0xc3, [
      precision,
      height >> 8,
      height & 0xff,
      width >> 8,
      width & 0xff,
      components,
      ...ids.flatMap((id) => [id, 0x11, 0]),
    ]),
    segment(0xc4, [0x00, ...counts, ...categories]),
    segment(0xda, [components, ...ids.flatMap((id) => [id, 0x00]), 1, 0, 0]),
    scan(samples),
    Buffer.from([0xff, 0xd9]),
  ])
}
