/** What people are here for. */
export const ROLES = ['analyst', 'radiologist', 'auditor', 'privacy-officer', 'operator'] as const
export type Role = (typeof ROLES)[number]

/** What each role may do. A person gets the scopes of all their roles, as far as their application may have them. */
export const ROLE_SCOPES: Record<Role, readonly string[]> = {
  analyst: ['data:read', 'fraud:review'],
  radiologist: ['ai:inference', 'data:read', 'phi:reidentify', 'phi:break-glass'],
  auditor: ['audit:read'],
  'privacy-officer': [
    ...['audit:read', 'phi:reidentify', 'phi:erase', 'break-glass:review'],
    ...['holds:write', 'retention:write', 'approvals:decide'],
  ],
  operator: ['data:read', 'models:write', 'policy:write', 'keys:rotate'],
}

/** Scopes of SMART Backend Services that our FHIR routes know. */
export const SMART_SCOPES = ['system/ImagingStudy.rs', 'system/DiagnosticReport.rs']

/** Every scope that there is. */
export const SCOPES: ReadonlySet<string> = new Set([...Object.values(ROLE_SCOPES).flat(), ...SMART_SCOPES])

const isRole = (name: string): name is Role => Object.hasOwn(ROLE_SCOPES, name)

/** The scopes that a person with these roles may have; roles that we do not know give none. */
export const scopesOfRoles = (roles: readonly string[]): string[] => [
  ...new Set(roles.filter(isRole).flatMap((role) => ROLE_SCOPES[role])),
]
