import type { Bytes } from './dicom/bytes.js'
import { groupOf, type Instance, textOf, ushortOf } from './dicom/element.js'
import type { PixelFinding, Policies } from './order.js'

/** Why an instance cannot be passed on as clean. */
export type QuarantineReason =
  | 'burned_in_text_possible'
  | 'encapsulated_document'
  | 'identifier_left'
  | 'directory'
  | 'recognizable_visual_features'
  | 'undecodable_pixels'

/** Kinds of images that people and machines write text into (PS3.15 E.3.1). */
const TEXT_LIKELY = new Set('US SC OT XC ES GM DOC XA RF ECG IVUS DMS EPS HD'.split(' '))
const SECONDARY_CAPTURE = '1.2.840.10008.5.1.4.1.1.7'
const DIRECTORY = '1.2.840.10008.1.3.10'
const PIXEL_DATA = 0x7fe00010
const ENCAPSULATED_DOCUMENT = 0x00420011

/** Whether the header says, or its kind of image suggests, that there is text in the pixels. */
export function textIsLikely(instance: Instance<Bytes>): boolean {
  const text = (tag: number) => textOf(instance, tag)
  if (!instance.elements.some((element) => element.tag === PIXEL_DATA)) return false
  const declared = text(0x00280301)
  if (declared === 'YES' || hasEmbeddedOverlay(instance)) return true
  const likely =
    TEXT_LIKELY.has(text(0x00080060) ?? '') ||
    text(0x00080016)?.startsWith(SECONDARY_CAPTURE) ||
    text(0x00080064)
  return Boolean(likely) && declared !== 'NO'
}

/** Overlays of old were drawn into unused bits of the pixels (PS3.3 C.9.2.1.1, retired). */
export function hasEmbeddedOverlay(instance: Instance<Bytes>): boolean {
  const planes = instance.elements.filter(({ tag }) => groupOf(tag) >>> 8 === 0x60)
  return planes.some(
    ({ tag }) =>
      (tag & 0xffff) === 0x0102 &&
      (ushortOf(instance, tag) ?? 0) > 0 &&
      !planes.some((other) => other.tag === ((tag & 0xffff0000) | 0x3000) >>> 0),
  )
}

/** What kind of instance cannot be clean whatever is done to its header. */
export function quarantineReason(
  instance: Instance<Bytes>,
  policies: Policies,
  finding: PixelFinding,
): QuarantineReason | undefined {
  const sopClass = instance.meta.get(0x00020002)?.toString('latin1') ?? textOf(instance, 0x00080016)
  if (sopClass?.startsWith(DIRECTORY) || instance.elements.some(({ tag }) => tag === 0x00041220))
    return 'directory'
  const hasDocument = instance.elements.some((element) => element.tag === ENCAPSULATED_DOCUMENT)
  if (hasDocument && policies.documents === 'quarantine') return 'encapsulated_document'
  if (finding.quarantine) return finding.quarantine
  if (finding.burnedIn !== 'unchecked' || policies.uncheckedPixels === 'pass') return undefined
  return textIsLikely(instance) && !hasDocument ? 'burned_in_text_possible' : undefined
}
