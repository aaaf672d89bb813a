/** Who makes a request, as a verified token says. */
export interface Principal {
  issuer: string
  subject: string
  clientId: string
  tenant: string
  scopes: readonly string[]
}

export type Authorization = { allowed: true } | { allowed: false; missing: string[] }

/** Whether the principal holds every scope that a route declares. */
export function authorize(principal: Principal, required: readonly string[]): Authorization {
  const missing = required.filter((scope) => !principal.scopes.includes(scope))
  return missing.length === 0 ? { allowed: true } : { allowed: false, missing }
}

const isText = (value: unknown): value is string =>
  typeof value === 'string' && value.length > 0 && value.length <= 128

/** Reads the claims of RFC 9068 and our `tenant`; undefined where one is missing. */
export function principalOf(claims: Record<string, unknown>): Principal | undefined {
  const { iss, sub, client_id: clientId, tenant, scope } = claims
  if (!isText(iss) || !isText(sub) || !isText(clientId) || !isText(tenant)) return undefined
  const scopes = typeof scope === 'string' ? scope.split(' ').filter(Boolean) : []
  return { issuer: iss, subject: sub, clientId, tenant, scopes }
}
