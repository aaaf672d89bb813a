import type pg from 'pg'
import type { Principal } from '#libs/auth'
import type { BlindIndex, KeyProvider } from '#libs/crypto'
import type { JobChannel } from '#libs/queue'
import type { ApprovalKind } from './approvals/approval.js'
import type { ApprovalRow } from './approvals/approvals.sql.js'
import type { ExportStore } from './exports/store.js'
import type { Identity } from './identity/identity.js'
import type { LogReader } from './trail/log.js'

/** Injection token of what the controllers of this service work with. */
export const COMPLIANCE = Symbol('compliance')

/**
 * What is done once a request is approved, in the transaction of the approval. It must end in a function of the
 * database that consumes the approval, and writes the audit entry of the act.
 */
export type Act = (
  client: pg.PoolClient,
  compliance: Compliance,
  caller: Principal,
  approval: ApprovalRow,
) => Promise<void>

export interface Compliance {
  pool: pg.Pool
  issuer: string
  audience: string
  identity: Identity
  log: LogReader
  /** Blind index of the patients: lookups hash with it, names are stored nowhere. */
  patientIndex: BlindIndex
  keyring: KeyProvider
  /** What each kind of approval does once a second person agreed. */
  acts: Record<ApprovalKind, Act>
  /** How long a request waits for a second person. */
  approvalHours: number
  /** Whose officers decide of what is of all tenants: months of the trail, bundles of the log. */
  operatorTenant: string
  exports: { queue: JobChannel; store: ExportStore; hours: number }
}
