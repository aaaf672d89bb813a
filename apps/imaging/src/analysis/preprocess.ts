import type { ModelCard, Values } from '#libs/inference'
import type { Grayscale } from '../pixels/grayscale.js'

/** Why an image is not given to a model. */
export type OutOfDomain = { kind: 'out_of_domain'; reason: 'modality' | 'too_small' | 'empty' }
export type Prepared = { kind: 'prepared'; input: Values } | OutOfDomain

/**
 * Area resampling: each target pixel is the mean of the source under it, edges weighted by their share. At equal sizes
 * it changes nothing.
 */
export function resizeArea(
  { width, height, data }: Grayscale,
  toWidth: number,
  toHeight: number,
): Float32Array {
  const out = new Float32Array(toWidth * toHeight)
  const [stepX, stepY] = [width / toWidth, height / toHeight]
  for (let y = 0; y < toHeight; y++) {
    for (let x = 0; x < toWidth; x++) {
      let [sum, weight] = [0, 0]
      for (let row = Math.floor(y * stepY); row < Math.min(height, (y + 1) * stepY); row++) {
        const shareY = Math.min(row + 1, (y + 1) * stepY) - Math.max(row, y * stepY)
        for (let column = Math.floor(x * stepX); column < Math.min(width, (x + 1) * stepX); column++) {
          const share = shareY * (Math.min(column + 1, (x + 1) * stepX) - Math.max(column, x * stepX))
          sum += share * data[row * width + column]!
          weight += share
        }
      }
      out[y * toWidth + x] = sum / weight
    }
  }
  return out
}

/** The image as the model's card declares it, or why this is no image for this model. */
export function prepare(card: ModelCard, modality: string, image: Grayscale): Prepared {
  const { preprocessing, domain } = card
  if (!preprocessing) throw new Error(`The card of ${card.name} declares no preprocessing`)
  if (domain && !domain.modalities.includes(modality)) return { kind: 'out_of_domain', reason: 'modality' }
  if (domain && Math.min(image.width, image.height) < domain.min_size)
    return { kind: 'out_of_domain', reason: 'too_small' }
  if (image.data.every((shade) => shade === image.data[0])) return { kind: 'out_of_domain', reason: 'empty' }
  const { width, height } = preprocessing
  const data = resizeArea(image, width, height).map((shade) => shade / 255)
  return { kind: 'prepared', input: { data, dims: [1, 1, height, width] } }
}
