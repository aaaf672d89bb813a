import { problems } from '#libs/platform'
import type { ApprovalKind } from './approvals/approval.js'
import type { Act } from './compliance.js'
import { erasePatient } from './erasure/erase.js'
import { releaseHold } from './holds/release.js'

const notYet: Act = async () => {
  throw problems.unavailable({ detail: 'This act is not available' })
}

/** What each kind of approval does once a second person agreed. */
export const ACTS: Record<ApprovalKind, Act> = {
  'retention.drop': notYet,
  'legal-hold.release': releaseHold,
  'patient.erasure': erasePatient,
}
