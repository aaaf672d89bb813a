/** VRs whose explicit form has a 32-bit length; so has any that a later edition adds (PS3.5 7.1.2). */
export const LONG_VRS = new Set([
  'OB',
  'OD',
  'OF',
  'OL',
  'OV',
  'OW',
  'SQ',
  'SV',
  'UC',
  'UN',
  'UR',
  'UT',
  'UV',
])
export const SHORT_VRS = new Set('AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US'.split(' '))
/** Text in the character set of the data set (PS3.5 6.1.2.3). */
export const CHARSET_VRS = new Set(['LO', 'LT', 'PN', 'SH', 'ST', 'UC', 'UT'])
/** Text that people read, and codes: where a name may stand. */
export const TEXT_VRS = new Set([...CHARSET_VRS, 'AE', 'CS', 'UR'])
/** Numbers, dates and ages written in characters. */
export const NUMERIC_TEXT_VRS = new Set(['AS', 'DA', 'DS', 'DT', 'IS', 'TM'])
/** Bulk data, of any length. */
export const BULK_VRS = new Set(['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'UN'])

const code = (vr: string): number => (vr.charCodeAt(0) << 8) | vr.charCodeAt(1)
const known = new Map([...LONG_VRS, ...SHORT_VRS].map((vr) => [code(vr), vr]))
const isLetter = (byte: number): boolean => byte >= 0x41 && byte <= 0x5a

/** The VR that two bytes name; undefined where they cannot be one. */
export function vrFrom(first: number, second: number): string | undefined {
  const vr = known.get((first << 8) | second)
  if (vr) return vr
  return isLetter(first) && isLetter(second) ? String.fromCharCode(first, second) : undefined
}
