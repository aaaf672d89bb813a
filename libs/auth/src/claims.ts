import type { IssuerPolicy } from './issuer-policy.js'
import { Principal } from './principal.js'
import { scopesOfRoles } from './roles.js'

const isText = (value: unknown): value is string =>
  typeof value === 'string' && value.length > 0 && value.length <= 128

const MAX_LISTED = 256

/** What a JSON pointer leads to (RFC 6901 4), own members only; undefined where it leads nowhere. */
export function at(claims: unknown, pointer: string): unknown {
  const steps = pointer.split('/').slice(1)
  return steps
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
    .reduce<unknown>(
      (value, name) =>
        typeof value === 'object' && value !== null && Object.hasOwn(value, name)
          ? (value as Record<string, unknown>)[name]
          : undefined,
      claims,
    )
}

/** A list, or words with spaces between (RFC 8693 4.2). */
function listed(value: unknown): string[] {
  const items = typeof value === 'string' ? value.split(' ') : Array.isArray(value) ? value : []
  return items.filter(isText).slice(0, MAX_LISTED)
}

function tenantOf(claims: unknown, policy: IssuerPolicy): string | undefined {
  const { tenant } = policy.claims
  const found = 'value' in tenant ? tenant.value : at(claims, tenant.claim)
  if (!isText(found) || found.length > 64) return undefined
  return policy.tenants === undefined || policy.tenants.includes(found) ? found : undefined
}

function isMachine(claims: unknown, { machine }: IssuerPolicy, subject: string, client: string): boolean {
  const said = machine && at(claims, machine.claim)
  return subject === client || (isText(said) && said.startsWith(machine!.starts_with))
}

/**
 * Who the claims of an issuer's token speak of; undefined where they do not say. Ids get the issuer's name before them:
 * `sub` and `client_id` are only unique within their issuer (ASVS 10.3.3).
 */
export function principalFrom(claims: Record<string, unknown>, policy: IssuerPolicy): Principal | undefined {
  const { iss, sub } = claims
  const client = at(claims, policy.claims.client_id)
  const tenant = tenantOf(claims, policy)
  if (!isText(iss) || !isText(sub) || !isText(client) || !tenant) return undefined
  const roles = listed(at(claims, policy.claims.roles)).flatMap((role) =>
    Object.hasOwn(policy.roles, role) ? [policy.roles[role]!] : [],
  )
  const type = isMachine(claims, policy, sub, client) ? 'client' : 'user'
  return new Principal({
    type,
    issuer: iss,
    subject: `${policy.name}:${sub}`,
    clientId: `${policy.name}:${client}`,
    tenant,
    scopes: [...new Set([...listed(at(claims, policy.claims.scope)), ...scopesOfRoles(roles)])],
    roles,
  })
}
