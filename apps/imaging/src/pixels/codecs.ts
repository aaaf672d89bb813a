import { Decoder as LosslessDecoder } from 'jpeg-lossless-decoder-js'

/** What a decompressor gives back: pixels in native little-endian order. */
export interface Decompressed {
  data: Buffer
  columns: number
  rows: number
  samples: number
  bitsPerSample: number
  /** Whether the compressed stream says that its samples are signed (JPEG 2000). */
  signed: boolean
}

interface WasmDecoder {
  getEncodedBuffer(length: number): Uint8Array
  decode(): void
  getDecodedBuffer(): Uint8Array
  getFrameInfo(): {
    width: number
    height: number
    componentCount: number
    bitsPerSample: number
    isSigned?: boolean
  }
  delete(): void
}
type WasmModule = Record<string, new () => WasmDecoder>
type WasmFactory = (options: { print(): void; printErr(): void }) => Promise<WasmModule>

/**
 * The codecs print what they read: nothing of an image belongs into a log. A fresh object each time, because a codec
 * makes the object that it is given its own.
 */
const silent = () => ({ print: () => undefined, printErr: () => undefined })

const PACKAGES = {
  jpeg: () => import('@cornerstonejs/codec-libjpeg-turbo-8bit/decodewasmjs'),
  jpegls: () => import('@cornerstonejs/codec-charls/decodewasmjs'),
  j2k: () => import('@cornerstonejs/codec-openjpeg/decodewasmjs'),
  htj2k: () => import('@cornerstonejs/codec-openjph/wasmjs'),
}
type Package = keyof typeof PACKAGES

const CLASSES: Record<Package, string> = {
  jpeg: 'JPEGDecoder',
  jpegls: 'JpegLSDecoder',
  j2k: 'J2KDecoder',
  htj2k: 'HTJ2KDecoder',
}

/** Which decompressor reads a transfer syntax (PS3.5 10). */
export const DECOMPRESSOR: Record<string, Package | 'lossless'> = {
  '1.2.840.10008.1.2.4.50': 'jpeg',
  '1.2.840.10008.1.2.4.51': 'jpeg',
  '1.2.840.10008.1.2.4.57': 'lossless',
  '1.2.840.10008.1.2.4.70': 'lossless',
  '1.2.840.10008.1.2.4.80': 'jpegls',
  '1.2.840.10008.1.2.4.81': 'jpegls',
  '1.2.840.10008.1.2.4.90': 'j2k',
  '1.2.840.10008.1.2.4.91': 'j2k',
  '1.2.840.10008.1.2.4.201': 'htj2k',
  '1.2.840.10008.1.2.4.202': 'htj2k',
  '1.2.840.10008.1.2.4.203': 'htj2k',
}

const loaded = new Map<Package, Promise<WasmModule>>()

function load(name: Package): Promise<WasmModule> {
  let module = loaded.get(name)
  if (!module) {
    module = (PACKAGES[name]() as Promise<{ default: unknown }>).then((imported) =>
      (imported.default as WasmFactory)(silent()),
    )
    loaded.set(name, module)
  }
  return module
}

async function runWasm(name: Package, bytes: Buffer): Promise<Decompressed> {
  const decoder = new (await load(name))[CLASSES[name]]!()
  try {
    decoder.getEncodedBuffer(bytes.length).set(bytes)
    decoder.decode()
    const { width, height, componentCount, bitsPerSample, isSigned } = decoder.getFrameInfo()
    return {
      data: Buffer.from(decoder.getDecodedBuffer()),
      columns: width,
      rows: height,
      samples: componentCount,
      bitsPerSample,
      signed: isSigned === true,
    }
  } finally {
    decoder.delete()
  }
}

const END_OF_IMAGE = Buffer.from([0xff, 0xd9])

/** The decoder loses the last sample where its code ends with a byte (2.1.2): a spare byte before the end helps. */
function withSpareByte(bytes: Buffer): Buffer {
  const end = bytes.lastIndexOf(END_OF_IMAGE)
  return end < 0 ? bytes : Buffer.concat([bytes.subarray(0, end), Buffer.of(0), END_OF_IMAGE])
}

function runLossless(image: Buffer): Decompressed {
  const bytes = withSpareByte(image)
  const decoder = new LosslessDecoder()
  const output = decoder.decode(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length)
  const { dimX, dimY, numComp, precision } = decoder.frame as {
    dimX: number
    dimY: number
    numComp?: number
    precision: number
  }
  const { buffer, byteOffset, byteLength } = output
  return {
    data: Buffer.from(buffer, byteOffset, byteLength),
    columns: dimX,
    rows: dimY,
    samples: numComp ?? 1,
    bitsPerSample: precision,
    signed: false,
  }
}

/** Decompresses one frame; rejects where the bytes are damaged. */
export const decompress = async (name: Package | 'lossless', bytes: Buffer): Promise<Decompressed> =>
  name === 'lossless' ? runLossless(bytes) : runWasm(name, bytes)
