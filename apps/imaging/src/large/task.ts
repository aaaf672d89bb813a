import type { DicomErrorCode } from '../deidentify/dicom/error.js'
import type { BurnedIn, Order } from '../deidentify/order.js'
import type { QuarantineReason } from '../deidentify/quarantine.js'
import type { ReportLine } from '../deidentify/report.js'
import type { SealedPlace } from '../storage/blob-store.js'

/** Images above this size are never in memory whole: a thread reads them piece by piece. */
export const LARGE = 64 * 1024 * 1024

/** What a thread is to do with a stored image. */
export interface LargeTask {
  place: SealedPlace
  /** Clean it; without an order only its structure is read. */
  order?: Order
  inflatedBytes: number
}

/** What became of it; chunks of a clean file follow, each when it is asked for. */
export type LargeOutcome =
  | { kind: 'sound' }
  | { kind: 'clean'; report: ReportLine[]; burnedIn: BurnedIn }
  | { kind: 'quarantined'; reason: QuarantineReason; report: ReportLine[] }
  | { kind: 'rejected'; code: DicomErrorCode }
