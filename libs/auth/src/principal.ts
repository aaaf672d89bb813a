/** Who did something, as an audit entry names them. */
export interface Actor {
  type: 'client' | 'user'
  id: string
}

interface PrincipalFields {
  /** A machine acting for itself, or a person at work through a client. */
  type: Actor['type']
  issuer: string
  subject: string
  clientId: string
  tenant: string
  scopes: readonly string[]
  /** What a person is here for (`analyst`, `auditor` ...); empty for a machine. */
  roles?: readonly string[]
}

/** Who makes a request, as a verified token or key says. */
export class Principal {
  readonly type: Actor['type']
  readonly issuer: string
  readonly subject: string
  readonly clientId: string
  readonly tenant: string
  readonly scopes: readonly string[]
  readonly roles: readonly string[]

  constructor({ type, issuer, subject, clientId, tenant, scopes, roles = [] }: PrincipalFields) {
    this.type = type
    this.issuer = issuer
    this.subject = subject
    this.clientId = clientId
    this.tenant = tenant
    this.scopes = scopes
    this.roles = roles
  }

  /** For audit entries: the person where there is one, else the client. */
  actor(): Actor {
    return this.type === 'user' ? { type: 'user', id: this.subject } : { type: 'client', id: this.clientId }
  }
}

export type Authorization = { allowed: true } | { allowed: false; missing: string[] }

/** Whether the principal holds every scope that a route declares. */
export function authorize(principal: Principal, required: readonly string[]): Authorization {
  const missing = required.filter((scope) => !principal.scopes.includes(scope))
  return missing.length === 0 ? { allowed: true } : { allowed: false, missing }
}

const isText = (value: unknown): value is string =>
  typeof value === 'string' && value.length > 0 && value.length <= 128

const MAX_ROLES = 32

/**
 * Reads the claims of RFC 9068 (2.2; `roles` of 2.2.3.1) and our `tenant`; undefined where one is missing. A client
 * that acts for itself is its own subject.
 */
export function principalOf(claims: Record<string, unknown>): Principal | undefined {
  const { iss, sub, client_id: clientId, tenant, scope, roles: claimed } = claims
  if (!isText(iss) || !isText(sub) || !isText(clientId) || !isText(tenant)) return undefined
  const scopes = typeof scope === 'string' ? scope.split(' ').filter(Boolean) : []
  const roles = Array.isArray(claimed) ? claimed.filter(isText).slice(0, MAX_ROLES) : []
  const type = sub === clientId ? 'client' : 'user'
  return new Principal({ type, issuer: iss, subject: sub, clientId, tenant, scopes, roles })
}
