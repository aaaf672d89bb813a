import type pg from 'pg'
import type { Logger } from 'pino'
import type { BlindIndex, KeyProvider } from '#libs/crypto'
import type { Model } from '#libs/inference'
import type { JobChannel } from '#libs/queue'
import type { DeidentificationKeys } from './deidentify/values.js'
import type { TextFinder } from './pixels/clean.js'
import type { BlobStore } from './storage/blob-store.js'

/** Injection token of what the controllers of this service work with. */
export const IMAGING = Symbol('imaging')

/** A model as the pipeline uses it. */
export type AnalysisModel = Pick<Model, 'card' | 'digest' | 'run'>

export interface Imaging {
  pool: pg.Pool
  store: BlobStore
  queue: JobChannel
  keyring: KeyProvider
  /** Blind index of the patients: lookups hash with it, identifiers are stored nowhere in clear. */
  patientIndex: BlindIndex
  /** Keys of a tenant's pseudonyms, replaced UIDs and moved dates. */
  deidentificationKeys: (tenant: string) => DeidentificationKeys
  models: readonly AnalysisModel[]
  /** Finds text in pixels, loaded by the first image that is looked at; without it, images that may hold text are quarantined. */
  textFinder?: () => Promise<TextFinder>
  logger: Logger
  limits: { imageBytes: number; attempts: number; runMs: number; breakGlassMinutes: number }
}
