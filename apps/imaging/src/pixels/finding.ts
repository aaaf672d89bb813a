import type { Instance } from '../deidentify/dicom/element.js'
import { type PixelFinding, UNCHECKED } from '../deidentify/order.js'
import { hasEmbeddedOverlay } from '../deidentify/quarantine.js'
import { cleanPixels, type PixelRefusal, type TextFinder } from './clean.js'
import { DEFAULT_PIXEL_POLICY, type PixelPolicy, recognizable } from './policy.js'

function heldBack(instance: Instance, reason: PixelRefusal): PixelFinding {
  if (reason === 'pixels_not_readable') return { ...UNCHECKED, quarantine: 'undecodable_pixels' }
  const face = reason === 'pixels_by_policy' && recognizable(instance) !== undefined
  return { ...UNCHECKED, quarantine: face ? 'recognizable_visual_features' : 'burned_in_text_possible' }
}

/**
 * Looks at the pixels of an instance and says what its de-identification is to make of them. Planes that hide in unused
 * bits of the pixels are seen by nobody: such an instance stays unchecked.
 */
export async function findInPixels(
  instance: Instance,
  finder: TextFinder,
  policy: PixelPolicy = DEFAULT_PIXEL_POLICY,
): Promise<PixelFinding> {
  if (hasEmbeddedOverlay(instance)) return UNCHECKED
  const cleaning = await cleanPixels(instance, finder, policy)
  if (cleaning.kind === 'refused') return heldBack(instance, cleaning.reason)
  if (cleaning.kind === 'trusted') return UNCHECKED
  if (cleaning.kind === 'clean') return { burnedIn: 'none', options: ['clean-pixel-data'] }
  return { burnedIn: 'cleaned', options: ['clean-pixel-data'], elements: cleaning.elements }
}
