import type { AuditEntry } from '#libs/audit'
import type { Principal } from '#libs/auth'

/** Who acted, as an audit entry names them. */
export const actorOf = ({ clientId }: Principal): AuditEntry['actor'] => ({ type: 'client', id: clientId })
