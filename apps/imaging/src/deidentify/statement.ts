import type { Encoding } from './dicom/element.js'
import { encodeElement, encodeItem, paddedText } from './dicom/write.js'
import type { Option } from './profile.js'

/** De-identification Method (0012,0063): our own statement, which is not the sender's. */
export const METHOD = 0x00120063
const IDENTITY_REMOVED = 0x00120062
const METHOD_CODES = 0x00120064
const TEMPORAL_MODIFIED = 0x00280303

/** Codes of CID 7050 for what was done. */
const METHODS: Record<'basic' | Option, [string, string]> = {
  basic: ['113100', 'Basic Application Confidentiality Profile'],
  'retain-longitudinal-full-dates': ['113106', 'Retain Longitudinal Temporal Information Full Dates Option'],
  'retain-longitudinal-modified-dates': [
    '113107',
    'Retain Longitudinal Temporal Information Modified Dates Option',
  ],
  'retain-device-identity': ['113109', 'Retain Device Identity Option'],
  'retain-uids': ['113110', 'Retain UIDs Option'],
  'retain-institution-identity': ['113112', 'Retain Institution Identity Option'],
}

/** Elements that say what was done (PS3.15 E.1.1, PS3.3 C.12.1 and C.7.1.1). */
export function statement(options: readonly Option[], encoding: Encoding): Map<number, Buffer> {
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
  const codes = [METHODS.basic, ...options.map((option) => METHODS[option])].map(code)
  const temporal = options.includes('retain-longitudinal-full-dates')
    ? 'UNMODIFIED'
    : options.includes('retain-longitudinal-modified-dates')
      ? 'MODIFIED'
      : 'REMOVED'
  return new Map([
    [IDENTITY_REMOVED, text(IDENTITY_REMOVED, 'CS', 'YES')],
    [METHOD, text(METHOD, 'LO', 'Vigil: DICOM PS3.15 2026c Basic Profile')],
    [METHOD_CODES, encodeElement(METHOD_CODES, 'SQ', Buffer.concat(codes), encoding)],
    [TEMPORAL_MODIFIED, text(TEMPORAL_MODIFIED, 'CS', temporal)],
  ])
}
