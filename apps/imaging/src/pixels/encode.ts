import { type Instance, textOf } from '../deidentify/dicom/element.js'
import { RLE } from './decode.js'
import type { Frame } from './frame.js'
import { encodeJpegLossless } from './jpeg-lossless.js'
import { encodeRle } from './rle.js'

interface ImageDescription {
  width: number
  height: number
  bitsPerSample: number
  componentCount: number
  isSigned: boolean
  isUsingColorTransform: boolean
}
interface WasmEncoder {
  getDecodedBuffer(description: ImageDescription): Uint8Array
  encode(): void
  getEncodedBuffer(): Uint8Array
  delete(): void
  setNearLossless?(near: number): void
  setInterleaveMode?(mode: number): void
  setQuality?(...quality: unknown[]): void
  setDecompositions?(count: number): void
  setProgressionOrder?(order: number): void
  setTLMMarker?(set: boolean): void
  setSubSampling?(mode: unknown): void
}
type WasmModule = Record<string, new () => WasmEncoder>
type WasmFactory = (options: object) => Promise<WasmModule>

const PACKAGES = {
  jpeg: () => import('@cornerstonejs/codec-libjpeg-turbo-8bit/wasmjs'),
  jpegls: () => import('@cornerstonejs/codec-charls/wasmjs'),
  j2k: () => import('@cornerstonejs/codec-openjpeg/wasmjs'),
  htj2k: () => import('@cornerstonejs/codec-openjph/wasmjs'),
}
type Package = keyof typeof PACKAGES

const CLASSES: Record<Package, string> = {
  jpeg: 'JPEGEncoder',
  jpegls: 'JpegLSEncoder',
  j2k: 'J2KEncoder',
  htj2k: 'HTJ2KEncoder',
}
const SAMPLE_INTERLEAVED = 2
const RPCL = 2
/** The best first: noise at the best quality takes more bytes than the encoder has room for. */
const JPEG_QUALITIES = [100, 95, 90]
const MOST_DECOMPOSITIONS = 5
const JPEG_BASELINE = '1.2.840.10008.1.2.4.50'

/** A wavelet cannot halve a side that is a single pixel. */
const decompositionsOf = ({ rows, columns }: Frame): number =>
  Math.min(MOST_DECOMPOSITIONS, Math.floor(Math.log2(Math.min(rows, columns))))

/** The frame cannot be compressed again, so that what was found in it cannot be taken out. */
export class EncodeError extends Error {
  override readonly name = 'EncodeError'
}

interface Compressor {
  name: Package
  set(encoder: WasmEncoder, frame: Frame): void
  /** Qualities to try, the best first. */
  qualities?: readonly number[]
}

const JPEG: Compressor = { name: 'jpeg', set: () => undefined, qualities: JPEG_QUALITIES }
const JPEG_LS: Compressor = {
  name: 'jpegls',
  set: (encoder, frame) => {
    encoder.setNearLossless?.(0)
    if (frame.samplesPerPixel > 1) encoder.setInterleaveMode?.(SAMPLE_INTERLEAVED)
  },
}
const JPEG_2000: Compressor = {
  name: 'j2k',
  set: (encoder, frame) => {
    encoder.setQuality?.(true, 0)
    encoder.setDecompositions?.(decompositionsOf(frame))
  },
}
const HTJ2K: Compressor = {
  name: 'htj2k',
  set: (encoder, frame) => {
    encoder.setQuality?.(true, 0)
    encoder.setDecompositions?.(decompositionsOf(frame))
    encoder.setProgressionOrder?.(RPCL)
    encoder.setTLMMarker?.(true)
  },
}

/** How a frame is compressed again; lossless wherever the transfer syntax permits it, also where lossy is allowed. */
const ENCODER: Record<string, Compressor | 'lossless'> = {
  [JPEG_BASELINE]: JPEG,
  '1.2.840.10008.1.2.4.57': 'lossless',
  '1.2.840.10008.1.2.4.70': 'lossless',
  '1.2.840.10008.1.2.4.80': JPEG_LS,
  '1.2.840.10008.1.2.4.81': JPEG_LS,
  '1.2.840.10008.1.2.4.90': JPEG_2000,
  '1.2.840.10008.1.2.4.91': JPEG_2000,
  '1.2.840.10008.1.2.4.201': HTJ2K,
  '1.2.840.10008.1.2.4.202': HTJ2K,
  '1.2.840.10008.1.2.4.203': HTJ2K,
}

const loaded = new Map<Package, Promise<WasmModule>>()

function load(name: Package): Promise<WasmModule> {
  let module = loaded.get(name)
  if (!module) {
    module = (PACKAGES[name]() as Promise<{ default: unknown }>).then((imported) =>
      (imported.default as WasmFactory)({ print: () => undefined, printErr: () => undefined }),
    )
    loaded.set(name, module)
  }
  return module
}

/** The samples as a compressor takes them: no bits above the precision unless they are signed there too. */
function samplesOf({ data, coded, bitsStored }: Frame): {
  precision: number
  samples: Uint8Array | Uint16Array
} {
  const precision = coded?.precision ?? bitsStored
  const wide = precision > 8
  const mask = 2 ** precision - 1
  const keepSign = coded?.signed === true
  const samples = wide ? new Uint16Array(data.length) : new Uint8Array(data.length)
  for (const [at, value] of data.entries()) samples[at] = keepSign ? value : value & mask
  return { precision, samples }
}

async function runWasm(name: Package, frame: Frame, set: (encoder: WasmEncoder) => void): Promise<Buffer> {
  const { precision, samples } = samplesOf(frame)
  const encoder = new (await load(name))[CLASSES[name]]!()
  let done = false
  try {
    const target = encoder.getDecodedBuffer({
      width: frame.columns,
      height: frame.rows,
      bitsPerSample: precision,
      componentCount: frame.samplesPerPixel,
      isSigned: frame.coded?.signed === true,
      isUsingColorTransform: frame.samplesPerPixel === 3,
    })
    target.set(new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength))
    set(encoder)
    encoder.encode()
    done = true
    return Buffer.from(encoder.getEncodedBuffer())
  } finally {
    // An encoder that failed inside is not to be touched again: its whole module is dropped.
    if (done) encoder.delete()
  }
}

/** Whether frames of this instance can be compressed again: JPEG's colours are always written as YBR. */
export function canEncode(instance: Instance): boolean {
  const { transferSyntax } = instance
  if (transferSyntax === JPEG_BASELINE && textOf(instance, 0x00280004) === 'RGB') return false
  return transferSyntax === RLE || transferSyntax in ENCODER
}

async function compress(frame: Frame, { name, set, qualities }: Compressor): Promise<Buffer> {
  for (const quality of qualities ?? [undefined]) {
    const coded = await runWasm(name, frame, (encoder) => {
      if (quality !== undefined) encoder.setQuality?.(quality)
      set(encoder, frame)
    }).catch(() => loaded.delete(name))
    if (Buffer.isBuffer(coded)) return coded
  }
  throw new EncodeError(`A frame of ${frame.columns} x ${frame.rows} cannot be compressed again`)
}

/** Compresses a frame by the transfer syntax that it came in (PS3.5 10). Throws EncodeError for one that canEncode refuses. */
export async function encodeFrame(frame: Frame, { transferSyntax }: Instance): Promise<Buffer> {
  const { data, columns, rows, samplesPerPixel } = frame
  if (transferSyntax === RLE) {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    return encodeRle(bytes, columns, samplesPerPixel, data.BYTES_PER_ELEMENT)
  }
  const encoder = ENCODER[transferSyntax]
  if (!encoder) throw new EncodeError(`There is no encoder for ${transferSyntax}`)
  if (encoder !== 'lossless') return compress(frame, encoder)
  const { precision, samples } = samplesOf(frame)
  return encodeJpegLossless({
    width: columns,
    height: rows,
    components: samplesPerPixel,
    precision,
    data: samples,
  })
}
