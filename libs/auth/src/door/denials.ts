import type { Pool } from 'pg'
import { appendAudit } from '#libs/audit'
import { correlation, inTransaction, type ProblemError } from '#libs/platform'
import type { Principal } from '../principal.js'

interface Attempt {
  method: string
  route: string
  refusal: ProblemError
}

/** Records that a known caller tried a door that is not theirs. */
export interface Denials {
  record(caller: Principal, attempt: Attempt): Promise<void>
}

/** Reading and sending one's own daily data: asking for it without the scope is a mistake in a configuration. */
const DAILY = new Set(['data:read', 'ai:inference'])

const missingScopes = ({ options }: ProblemError): string[] =>
  /scope="([^"]*)"/.exec(options.headers?.['www-authenticate'] ?? '')?.[1]?.split(' ') ?? []

/** Writes `ACCESS_DENIED` into the audit log. Route patterns only: a path may hold an identifier. */
export function auditDenials(pool: Pool, service: 'fraud' | 'imaging' | 'compliance'): Denials {
  return {
    async record(caller, { method, route, refusal }) {
      const missing = missingScopes(refusal)
      if (missing.length > 0 && missing.every((scope) => DAILY.has(scope))) return
      await inTransaction(pool, (client) =>
        appendAudit(client, {
          tenant: caller.tenant,
          service,
          actor: caller.actor(),
          action: 'ACCESS_DENIED',
          outcome: 'denied',
          correlationId: correlation().correlationId,
          details: { method, route, missing_scope: missing.join(' ') },
        }),
      )
    },
  }
}
