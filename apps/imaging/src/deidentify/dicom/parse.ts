import { inflateRawSync } from 'node:zlib'
import { type Bytes, tail } from './bytes.js'
import { standardVr } from './dictionary.js'
import type { Element, Encoding, Instance } from './element.js'
import { DicomError } from './error.js'
import { LIMITS, type Limits } from './limits.js'
import { Reader } from './reader.js'
import { LONG_VRS, SHORT_VRS } from './vr.js'

const IMPLICIT_LE: Encoding = { explicit: false, littleEndian: true }
const EXPLICIT_LE: Encoding = { explicit: true, littleEndian: true }
const ACR_GROUP = 0x0010
/** Longest value of the meta information that is kept. */
const LONGEST_META = 1024 * 1024

export const TRANSFER_SYNTAX = {
  implicit: '1.2.840.10008.1.2',
  explicit: '1.2.840.10008.1.2.1',
  deflated: '1.2.840.10008.1.2.1.99',
  bigEndian: '1.2.840.10008.1.2.2',
} as const

/** File meta information (PS3.10 7.1) from `start`; always explicit little endian. */
function readMeta(bytes: Bytes, start: number, limits: Limits): { meta: Map<number, Buffer>; next: number } {
  const meta = new Map<number, Buffer>()
  const reader = new Reader(bytes, limits)
  let at = start
  while (at + 8 <= bytes.length && bytes.subarray(at, at + 2).readUInt16LE(0) === 2) {
    const element: Element = reader.one(at, EXPLICIT_LE)
    if (element.valueEnd - element.valueStart > LONGEST_META) throw new DicomError('value_too_large', at)
    meta.set(element.tag, bytes.subarray(element.valueStart, element.valueEnd))
    at = element.end
  }
  return { meta, next: at }
}

/** Encoding of a data set that no transfer syntax describes, from its first element; undefined where it is none. */
function sniff(bytes: Bytes, at: number): string | undefined {
  if (at + 8 > bytes.length) return undefined
  const head = bytes.subarray(at, at + 8)
  const vr = head.toString('latin1', 4, 6)
  const explicit = SHORT_VRS.has(vr) || LONG_VRS.has(vr)
  const little = head.readUInt16LE(0)
  if (little >= 2 && little <= ACR_GROUP) {
    if (explicit) return TRANSFER_SYNTAX.explicit
    return at + 8 + head.readUInt32LE(4) <= bytes.length ? TRANSFER_SYNTAX.implicit : undefined
  }
  const big = head.readUInt16BE(0)
  return big >= 2 && big <= ACR_GROUP && explicit ? TRANSFER_SYNTAX.bigEndian : undefined
}

const uidText = (bytes: Buffer): string => bytes.toString('latin1').replace(/(?<![\0 ])[\0 ]+$/, '')

/** Where the meta information begins: after the preamble, or at once where a sender left the preamble out. */
function metaStart(bytes: Bytes): number {
  if (bytes.length >= 132 && bytes.subarray(128, 132).toString('latin1') === 'DICM') return 132
  return bytes.length >= 4 && bytes.subarray(0, 4).toString('latin1') === 'DICM' ? 4 : 0
}

function encodingOf(transferSyntax: string): Encoding {
  if (transferSyntax === TRANSFER_SYNTAX.implicit) return IMPLICIT_LE
  if (transferSyntax === TRANSFER_SYNTAX.bigEndian) return { explicit: true, littleEndian: false }
  return EXPLICIT_LE
}

/** What a deflated data set may become: `inflateRatio` times its length, a megabyte always, `inflatedBytes` never more. */
function inflate(bytes: Bytes, limits: Limits): Buffer {
  if (bytes.length > limits.inflatedBytes) throw new DicomError('inflated_too_large', 0)
  const byRatio = Math.max(bytes.length * limits.inflateRatio, 1024 ** 2)
  try {
    return inflateRawSync(bytes.subarray(0, bytes.length), {
      maxOutputLength: Math.min(limits.inflatedBytes, byRatio),
    })
  } catch (error) {
    const tooLarge = (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE'
    throw new DicomError(tooLarge ? 'inflated_too_large' : 'truncated', 0)
  }
}

const isStandard = (tag: number): boolean => standardVr(tag) !== undefined

/**
 * The first element decides where the header lies about it: some senders write the other encoding than they declare.
 * Only what no other reading explains is believed.
 */
function trueEncoding(dataset: Bytes, declared: Encoding): Encoding {
  if (dataset.length < 8 || !declared.littleEndian) return declared
  const head = dataset.subarray(0, 8)
  const tag = ((head.readUInt16LE(0) << 16) | head.readUInt16LE(2)) >>> 0
  const vr = head.toString('latin1', 4, 6)
  const looksExplicit = SHORT_VRS.has(vr) || LONG_VRS.has(vr)
  if (declared.explicit && !looksExplicit && isStandard(tag) && head.readUInt32LE(4) <= 1024)
    return IMPLICIT_LE
  if (!declared.explicit && looksExplicit && isStandard(tag)) return EXPLICIT_LE
  return declared
}

/**
 * Reads a DICOM instance (PS3.10) down to tags, VRs and offsets; no value is copied or interpreted. Throws DicomError
 * for anything malformed, in bounded time and memory.
 */
export function parseInstance<Data extends Bytes = Buffer>(
  bytes: Data,
  limits: Limits = LIMITS,
): Instance<Data extends Buffer ? Buffer : Bytes> {
  const start = metaStart(bytes)
  const { meta, next: end } = readMeta(bytes, start, limits)
  const declared = meta.get(0x00020010)
  // Where no element follows the mark, the mark is data: of a data set that begins at once.
  const next = meta.size === 0 && sniff(bytes, end) === undefined ? 0 : end
  const transferSyntax = declared ? uidText(declared) : sniff(bytes, next)
  if (transferSyntax === undefined) throw new DicomError('not_dicom', next)
  if (!/^1\.2\.840\.10008\.1\.2(\.\d{1,3}){0,3}$/.test(transferSyntax))
    throw new DicomError('invalid_transfer_syntax', start)
  const deflated = transferSyntax === TRANSFER_SYNTAX.deflated
  const dataset = deflated ? inflate(tail(bytes, next), limits) : tail(bytes, next)
  const encoding = trueEncoding(dataset, encodingOf(transferSyntax))
  const { elements } = new Reader(dataset, limits).elements(0, dataset.length, encoding, false)
  if (elements.length === 0) throw new DicomError('not_dicom', next)
  // A Buffer gives a Buffer: `tail` and `inflate` see to it.
  return {
    dataset: dataset as Data extends Buffer ? Buffer : Bytes,
    elements,
    meta,
    transferSyntax,
    encoding,
    deflated,
  }
}
