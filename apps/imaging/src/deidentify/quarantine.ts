import { type Instance, textOf } from './dicom/element.js'

/** Why an instance cannot be passed on as clean. */
export type QuarantineReason =
  | 'burned_in_text_possible'
  | 'encapsulated_document'
  | 'identifier_left'
  | 'directory'

/** Kinds of images that people and machines write text into (PS3.15 E.3.1). */
const TEXT_LIKELY = new Set([
  'US',
  'SC',
  'OT',
  'XC',
  'ES',
  'GM',
  'DOC',
  'XA',
  'RF',
  'ECG',
  'IVUS',
  'DMS',
  'EPS',
  'HD',
])
const SECONDARY_CAPTURE = '1.2.840.10008.5.1.4.1.1.7'
const DIRECTORY = '1.2.840.10008.1.3.10'
const PIXEL_DATA = 0x7fe00010
const ENCAPSULATED_DOCUMENT = 0x00420011

/** What kind of instance cannot be clean whatever is done to its header. */
export function quarantineReason(instance: Instance): QuarantineReason | undefined {
  const text = (tag: number) => textOf(instance, tag)
  if (instance.meta.get(0x00020002)?.toString('latin1').startsWith(DIRECTORY)) return 'directory'
  if (instance.elements.some((element) => element.tag === ENCAPSULATED_DOCUMENT))
    return 'encapsulated_document'
  if (!instance.elements.some((element) => element.tag === PIXEL_DATA)) return undefined
  const declared = text(0x00280301)
  if (declared === 'YES') return 'burned_in_text_possible'
  const likely =
    TEXT_LIKELY.has(text(0x00080060) ?? '') ||
    text(0x00080016)?.startsWith(SECONDARY_CAPTURE) ||
    text(0x00080064)
  return likely && declared !== 'NO' ? 'burned_in_text_possible' : undefined
}
