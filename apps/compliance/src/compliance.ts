import type pg from 'pg'
import type { SigningKey } from './identity/signing-keys.js'
import type { LogReader } from './trail/log.js'

/** Injection token of what the controllers of this service work with. */
export const COMPLIANCE = Symbol('compliance')

export interface Compliance {
  pool: pg.Pool
  issuer: string
  audience: string
  signingKey: SigningKey
  log: LogReader
  /** Key of the patients' blind index: lookups hash with it, names are stored nowhere. */
  patientIndexKey: Uint8Array
}
