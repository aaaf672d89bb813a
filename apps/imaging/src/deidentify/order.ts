import type { Limits } from './dicom/limits.js'
import type { Option, PixelOption } from './options.js'
import type { DeidentificationKeys } from './values.js'

/** What may become of instances that the header rules cannot make clean. */
export interface Policies {
  /** Encapsulated PDF, CDA, models: held back, or replaced by a blank one of the same media type. */
  documents: 'quarantine' | 'blank'
  /** Kinds of images that may hold text, while nobody looked: held back, or passed on as `unchecked`. */
  uncheckedPixels: 'quarantine' | 'pass'
  /** Public attributes that the data dictionary does not know. */
  unknownAttributes: 'keep' | 'remove'
}

export const POLICIES: Policies = {
  documents: 'quarantine',
  uncheckedPixels: 'quarantine',
  unknownAttributes: 'keep',
}

/** Whether text is left in the pixels, as far as anybody knows. */
export type BurnedIn = 'none' | 'cleaned' | 'unchecked'

/** What looking at the pixels of one instance found and changed (PS3.15 E.3.1, E.3.2). */
export interface PixelFinding {
  burnedIn: BurnedIn
  /** Which pixel options were carried out in full: declared in the output. */
  options?: readonly PixelOption[]
  /** Whether overlay planes were looked at and hold no text; only then Clean Graphics keeps them. */
  overlaysClean?: boolean
  /** Elements that cleaning the pixels changed, whole as they are to stand in the output, by tag; Pixel Data among them. */
  elements?: ReadonlyMap<number, Buffer>
  /** Transfer syntax of the output where cleaning changed it; of the same byte order and VR encoding. */
  transferSyntax?: string
  /** Holds the instance back: a face that can be recognised, text that could not be masked. */
  quarantine?: 'recognizable_visual_features' | 'burned_in_text_possible' | 'undecodable_pixels'
}

/** Nobody looked. */
export const UNCHECKED: PixelFinding = { burnedIn: 'unchecked' }

/** Carries the originals to whoever holds the private key (PS3.15 E.1.1). */
export interface Escrow {
  /** The recipient's certificate in PEM, with an RSA key. */
  certificate: string
  /** Source of the content key and IV: the one thing in de-identification that is not a function of its input. */
  random: (bytes: number) => Buffer
}

/** What to do, and with which keys. */
export interface Order {
  options: readonly Option[]
  keys: DeidentificationKeys
  policies?: Partial<Policies>
  limits?: Limits
  escrow?: Escrow
}
