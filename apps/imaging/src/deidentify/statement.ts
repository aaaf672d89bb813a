import type { Encoding } from './dicom/element.js'
import { encodeElement, encodeItem, paddedText } from './dicom/write.js'
import type { Option, PixelOption } from './options.js'
import type { PixelFinding } from './order.js'

/** De-identification Method (0012,0063): our own statement, which is not the sender's. */
export const METHOD = 0x00120063
const IDENTITY_REMOVED = 0x00120062
const METHOD_CODES = 0x00120064
const TEMPORAL_MODIFIED = 0x00280303
const BURNED_IN = 0x00280301
const VISUAL_FEATURES = 0x00280302

/** Codes of CID 7050 (PS3.16) for what was done. */
const METHODS: Record<'basic' | Option | PixelOption, [string, string]> = {
  basic: ['113100', 'Basic Application Confidentiality Profile'],
  'clean-pixel-data': ['113101', 'Clean Pixel Data Option'],
  'clean-recognizable-visual-features': ['113102', 'Clean Recognizable Visual Features Option'],
  'clean-graphics': ['113103', 'Clean Graphics Option'],
  'clean-structured-content': ['113104', 'Clean Structured Content Option'],
  'clean-descriptors': ['113105', 'Clean Descriptors Option'],
  'retain-longitudinal-full-dates': ['113106', 'Retain Longitudinal Temporal Information Full Dates Option'],
  'retain-longitudinal-modified-dates': [
    '113107',
    'Retain Longitudinal Temporal Information Modified Dates Option',
  ],
  'retain-patient-characteristics': ['113108', 'Retain Patient Characteristics Option'],
  'retain-device-identity': ['113109', 'Retain Device Identity Option'],
  'retain-uids': ['113110', 'Retain UIDs Option'],
  'retain-safe-private': ['113111', 'Retain Safe Private Option'],
  'retain-institution-identity': ['113112', 'Retain Institution Identity Option'],
}

function temporal(options: readonly Option[]): string {
  if (options.includes('retain-longitudinal-full-dates')) return 'UNMODIFIED'
  return options.includes('retain-longitudinal-modified-dates') ? 'MODIFIED' : 'REMOVED'
}

/** Elements that say what was done (PS3.15 E.1.1, PS3.3 C.12.1 and C.7.1.1), in the order of their tags. */
export function statement(
  options: readonly Option[],
  finding: PixelFinding,
  encoding: Encoding,
): Map<number, Buffer> {
  const text = (tag: number, vr: string, value: string) =>
    encodeElement(tag, vr, paddedText(value, vr), encoding)
  const code = ([value, meaning]: [string, string]) =>
    encodeItem(
      Buffer.concat([
        text(0x00080100, 'SH', value),
        text(0x00080102, 'SH', 'DCM'),
        text(0x00080104, 'LO', meaning),
      ]),
      encoding,
    )
  const done = [...options, ...(finding.options ?? [])].map((option) => METHODS[option])
  const codes = [METHODS.basic, ...done.sort(([a], [b]) => a.localeCompare(b))].map(code)
  return new Map([
    [IDENTITY_REMOVED, text(IDENTITY_REMOVED, 'CS', 'YES')],
    [METHOD, text(METHOD, 'LO', 'Vigil: DICOM PS3.15 2026c Basic Profile')],
    [METHOD_CODES, encodeElement(METHOD_CODES, 'SQ', Buffer.concat(codes), encoding)],
    ...(finding.burnedIn === 'unchecked'
      ? []
      : [[BURNED_IN, text(BURNED_IN, 'CS', 'NO')] as [number, Buffer]]),
    ...(finding.options?.includes('clean-recognizable-visual-features')
      ? [[VISUAL_FEATURES, text(VISUAL_FEATURES, 'CS', 'NO')] as [number, Buffer]]
      : []),
    [TEMPORAL_MODIFIED, text(TEMPORAL_MODIFIED, 'CS', temporal(options))],
  ])
}
