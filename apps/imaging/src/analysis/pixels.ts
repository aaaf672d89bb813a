import type { ModelCard, Values } from '#libs/inference'
import { textOf } from '../deidentify/dicom/element.js'
import { parseInstance } from '../deidentify/dicom/parse.js'
import { decodeFrame } from '../pixels/decode.js'
import { shadingOf, toGrayscale } from '../pixels/grayscale.js'
import { prepare } from './preprocess.js'
import type { NoPrediction } from './result.js'

export type ModelPixels =
  | { kind: 'pixels'; values: Values['data'] }
  | { kind: 'refused'; reason: NoPrediction; detail: string }

const MODALITY = 0x00080060
const PIXEL_DATA = 0x7fe00010

const OUT_OF_DOMAIN = {
  modality: 'The image itself states another modality than it was sent as',
  too_small: 'The image is smaller than the model was made for',
  empty: 'The image has one shade only',
} as const

const refused = (reason: NoPrediction, detail: string): ModelPixels => ({ kind: 'refused', reason, detail })

/** The first frame of a de-identified instance as a model's card wants it, or why no model should see it. */
export async function pixelsFor(card: ModelCard, clean: Buffer, sentAs: string): Promise<ModelPixels> {
  const instance = parseInstance(clean)
  if (!instance.elements.some(({ tag }) => tag === PIXEL_DATA))
    return refused('no_pixels', 'The instance has no pixels')
  const decoded = await decodeFrame(instance)
  if (decoded.kind !== 'frame') {
    const detail =
      decoded.kind === 'unsupported' ? 'The pixel format is not decoded' : 'The pixel data is damaged'
    return refused('undecodable_pixels', detail)
  }
  const modality = textOf(instance, MODALITY) || sentAs
  const prepared = prepare(card, modality, toGrayscale(decoded.frame, shadingOf(instance)))
  return prepared.kind === 'prepared'
    ? { kind: 'pixels', values: prepared.input.data }
    : refused('out_of_domain', OUT_OF_DOMAIN[prepared.reason])
}
