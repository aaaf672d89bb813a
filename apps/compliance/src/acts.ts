import type { ApprovalKind } from './approvals/approval.js'
import type { Act } from './compliance.js'
import { erasePatient } from './erasure/erase.js'
import { releaseHold } from './holds/release.js'
import { dropApprovedMonth } from './retention/drop.js'

/** What each kind of approval does once a second person agreed. */
export const ACTS: Record<ApprovalKind, Act> = {
  'retention.drop': dropApprovedMonth,
  'legal-hold.release': releaseHold,
  'patient.erasure': erasePatient,
}
