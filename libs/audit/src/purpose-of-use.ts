import { problems } from '#libs/platform'

/** Reasons for which a patient may be looked up: codes of HL7 v3 PurposeOfUse (2.16.840.1.113883.5.8). */
export const PURPOSES_OF_USE = [
  'TREAT',
  'ETREAT',
  'CAREMGT',
  'HPAYMT',
  'HOPERAT',
  'HRESCH',
  'PATRQT',
  'PATSFTY',
  'PUBHLTH',
  'HLEGAL',
  'HCOMPL',
] as const
export type PurposeOfUse = (typeof PURPOSES_OF_USE)[number]

/** Reads the header; undefined where it is missing or names no purpose that we know. */
export const purposeOfUse = (header: unknown): PurposeOfUse | undefined =>
  PURPOSES_OF_USE.find((code) => code === header)

/** Reads the header wherever PHI leaves; throws the problem that names it where it says nothing that we know. */
export function requirePurpose(header: unknown): PurposeOfUse {
  const purpose = purposeOfUse(header)
  if (purpose) return purpose
  const detail = `must be one of ${PURPOSES_OF_USE.join(', ')}`
  throw problems.invalidRequest({
    detail: 'Purpose-Of-Use is needed to look a patient up',
    errors: [{ pointer: '/headers/purpose-of-use', detail }],
  })
}
