import type { Bytes } from './dicom/bytes.js'
import { type Element, type Encoding, type Instance, textOf } from './dicom/element.js'
import { LIMITS } from './dicom/limits.js'
import { parseInstance, TRANSFER_SYNTAX } from './dicom/parse.js'
import { Reader } from './dicom/reader.js'
import { encodeElement, encodeHead, encodeItem, padded, paddedText } from './dicom/write.js'
import { EnvelopeError, open, seal } from './envelope.js'
import type { Escrow } from './order.js'
import { METHOD } from './statement.js'

export const ENCRYPTED = 0x04000500
const ENCRYPTED_SYNTAX = 0x04000510
const ENCRYPTED_CONTENT = 0x04000520
const MODIFIED = 0x04000550
/** Longest original that is carried along: bulk data is not. */
const LONGEST = 256 * 1024

const syntaxOf = ({ explicit, littleEndian }: Encoding): string =>
  explicit ? (littleEndian ? TRANSFER_SYNTAX.explicit : TRANSFER_SYNTAX.bigEndian) : TRANSFER_SYNTAX.implicit

/**
 * The Encrypted Attributes Sequence (PS3.15 E.1.1) with the originals of everything that was changed at the top level,
 * as it stood, in the one item of a Modified Attributes Sequence, for the holder of the certificate's private key.
 */
export function sealOriginals(
  dataset: Bytes,
  changed: readonly Element[],
  encoding: Encoding,
  escrow: Escrow,
): Buffer {
  const kept = changed.filter(({ start, end }) => end - start <= LONGEST)
  const originals = Buffer.concat(kept.map(({ start, end }) => dataset.subarray(start, end)))
  const content = encodeElement(MODIFIED, 'SQ', encodeItem(originals, encoding), encoding)
  const item = Buffer.concat([
    encodeElement(ENCRYPTED_SYNTAX, 'UI', paddedText(syntaxOf(encoding), 'UI'), encoding),
    encodeElement(ENCRYPTED_CONTENT, 'OB', padded(seal(content, escrow), 'OB'), encoding),
  ])
  return encodeElement(ENCRYPTED, 'SQ', encodeItem(item, encoding), encoding)
}

/** What de-identification adds: gone again where the originals had none. */
const ADDED = new Set([0x00120062, METHOD, 0x00120064, 0x00280303, ENCRYPTED])

function originalsOf(source: Instance, privateKey: string): { dataset: Buffer; elements: Element[] } {
  const [item] = source.elements.find(({ tag }) => tag === ENCRYPTED)?.items ?? []
  const content = item?.elements.find(({ tag }) => tag === ENCRYPTED_CONTENT)
  if (!item || !content) throw new EnvelopeError('The instance carries no originals')
  const dataset = open(source.dataset.subarray(content.valueStart, content.valueEnd), privateKey)
  const syntax = textOf({ dataset: source.dataset, elements: item.elements }, ENCRYPTED_SYNTAX)
  const encoding = {
    explicit: syntax !== TRANSFER_SYNTAX.implicit,
    littleEndian: syntax !== TRANSFER_SYNTAX.bigEndian,
  }
  const { elements } = new Reader(dataset, LIMITS).elements(0, dataset.length, encoding, false)
  const [originals] = elements.find(({ tag }) => tag === MODIFIED)?.items ?? []
  if (!originals) throw new EnvelopeError('The originals are not of the form that PS3.15 E.1.1 asks for')
  return { dataset, elements: originals.elements }
}

/**
 * Puts the originals back that a de-identified instance carries (PS3.15 E.1.2). Throws EnvelopeError where there are
 * none or the key is another's, DicomError where the instance is malformed.
 */
export function reidentify(bytes: Buffer, privateKey: string): Buffer {
  const source = parseInstance(bytes)
  const { dataset, elements } = originalsOf(source, privateKey)
  const restored = new Map(
    elements.map((element) => [element.tag, dataset.subarray(element.start, element.end)]),
  )
  for (const { tag, start, end } of source.elements)
    if (!restored.has(tag) && !ADDED.has(tag)) restored.set(tag, source.dataset.subarray(start, end))
  const whole = Buffer.concat([...restored].sort(([a], [b]) => a - b).map(([, element]) => element))
  const sopClass = source.meta.get(0x00020002)
  const sopInstanceUid = textOf({ dataset, elements }, 0x00080018) ?? ''
  const syntax = source.deflated ? TRANSFER_SYNTAX.explicit : source.transferSyntax
  return Buffer.concat([
    encodeHead({ ...(sopClass ? { sopClass } : {}), sopInstanceUid, transferSyntax: syntax }),
    whole,
  ])
}
