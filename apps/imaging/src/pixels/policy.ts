import type { Bytes } from '../deidentify/dicom/bytes.js'
import { type Instance, textOf } from '../deidentify/dicom/element.js'

/** What becomes of the pixels of an instance: looked at, taken as they are, or held back. */
export type PixelAction = 'check' | 'trust' | 'quarantine'

/** Rules by modality (PS3.3 C.7.3.1.1.1); `other` is for those that are not named. */
export interface PixelPolicy {
  modalities: Readonly<Record<string, PixelAction>>
  other: PixelAction
  /** What becomes of pictures by which a person can be recognized: photographs of faces, whole heads in CT and MR. */
  photographs: 'quarantine' | 'check'
  heads: 'flag' | 'quarantine'
  /** Most frames of an instance that are looked at; those between get the same regions blacked out. */
  frames: number
}

const all = (action: PixelAction, modalities: string): Record<string, PixelAction> =>
  Object.fromEntries(modalities.split(' ').map((modality) => [modality, action]))

/** Slices come out of a scanner without text; everything that people or machines write into is looked at (PS3.15 E.3.1). */
export const DEFAULT_PIXEL_POLICY: PixelPolicy = {
  modalities: {
    ...all('trust', 'CT MR PT NM RTDOSE RTSTRUCT RTPLAN RTIMAGE SEG REG SM OCT OPT'),
    ...all('check', 'US IVUS SC OT XC ES GM DOC XA RF ECG DMS EPS HD CR DX MG PX IO RG BMD OP'),
  },
  other: 'check',
  photographs: 'quarantine',
  heads: 'flag',
  frames: 32,
}

const SECONDARY_CAPTURE = '1.2.840.10008.5.1.4.1.1.7'
/** Visible-light photographs (PS3.4 B.5). */
const PHOTOGRAPH = /^1\.2\.840\.10008\.5\.1\.4\.1\.1\.77\.1\.4/
const HEAD = /HEAD|BRAIN|SKULL|FACE|NECK|ORBIT|SINUS|JAW|EAR\b/i

/** Why an instance is risky whatever its modality says: captured from a screen, or said to hold text. */
function isRisky(instance: Instance<Bytes>): boolean {
  const text = (tag: number) => textOf(instance, tag)
  return (
    text(0x00280301)?.toUpperCase() === 'YES' ||
    text(0x00080016)?.startsWith(SECONDARY_CAPTURE) === true ||
    text(0x00080064) !== undefined ||
    /SCREEN|SECONDARY/i.test(text(0x00080008) ?? '')
  )
}

/** Whether a person may be recognized by the picture: told by the instance, a photograph, or a head (PS3.15 E.3.2). */
export function recognizable(instance: Instance<Bytes>): 'photograph' | 'head' | undefined {
  const text = (tag: number) => textOf(instance, tag) ?? ''
  if (PHOTOGRAPH.test(text(0x00080016)) || text(0x00280302).toUpperCase() === 'YES') return 'photograph'
  const slices = ['CT', 'MR'].includes(text(0x00080060))
  return slices && [0x00180015, 0x00081030, 0x0008103e].some((tag) => HEAD.test(text(tag)))
    ? 'head'
    : undefined
}

/** What the policy says of an instance. Risky ones are never trusted, not even when they declare that they hold no text. */
export function pixelAction(instance: Instance<Bytes>, policy: PixelPolicy): PixelAction {
  const seen = recognizable(instance)
  if (seen === 'photograph' && policy.photographs === 'quarantine') return 'quarantine'
  if (seen === 'head' && policy.heads === 'quarantine') return 'quarantine'
  const action = policy.modalities[textOf(instance, 0x00080060) ?? ''] ?? policy.other
  return action === 'trust' && isRisky(instance) ? 'check' : action
}
