import { z } from 'zod'

/** Asymmetric signatures only (ASVS 9.1.2): with a shared secret whoever verifies could also sign. */
const ALGORITHMS = ['ES256', 'ES384', 'ES512', 'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'] as const

/** Where in the claims something is: a JSON pointer (RFC 6901), for claims such as `/realm_access/roles`. */
const Pointer = z
  .string()
  .max(256)
  .regex(/^(\/([^~/]|~[01])*)+$/, 'must be a JSON pointer such as /scope')

/** Which tokens of an issuer are accepted, and how its claims are read. */
export const IssuerPolicy = z.strictObject({
  issuer: z.url(),
  /** Stands before the ids of its clients and people, so that they cannot be taken for anybody else's. */
  name: z.string().regex(/^[a-z0-9-]{1,32}$/),
  /** Without it the keys are found through `issuer`/.well-known/openid-configuration. */
  jwks_uri: z.url().optional(),
  audience: z.string().min(1).max(256),
  algorithms: z.array(z.enum(ALGORITHMS)).min(1).default(['ES256', 'RS256']),
  /** Accepted `typ` headers; issuers that do not follow RFC 9068 say `JWT`. */
  types: z.array(z.string().toLowerCase()).min(1).default(['at+jwt', 'application/at+jwt']),
  claims: z
    .strictObject({
      tenant: z
        .union([z.strictObject({ claim: Pointer }), z.strictObject({ value: z.string().min(1).max(64) })])
        .default({ claim: '/tenant' }),
      client_id: Pointer.default('/client_id'),
      scope: Pointer.default('/scope'),
      roles: Pointer.default('/roles'),
    })
    .prefault({}),
  /** The only tenants that this issuer speaks for. */
  tenants: z.array(z.string().min(1).max(64)).min(1).optional(),
  /** Its role -> ours, whose scopes it then gives. Roles that are not named give nothing. */
  roles: z.record(z.string().max(128), z.string().max(64)).default({}),
  /** Tokens of machines, where their subject is not their client id: a claim and how it begins. */
  machine: z.strictObject({ claim: Pointer, starts_with: z.string().min(1) }).optional(),
})
export type IssuerPolicy = z.infer<typeof IssuerPolicy>

/** `OIDC_ISSUERS`: a JSON list of them. */
export const OidcIssuers = z
  .string()
  .transform((text, context) => {
    try {
      return JSON.parse(text) as unknown
    } catch {
      context.addIssue({ code: 'custom', message: 'must be a JSON list of issuers' })
      return z.NEVER
    }
  })
  .pipe(z.array(IssuerPolicy).max(32))
  .refine((list) => new Set(list.map(({ issuer }) => issuer)).size === list.length, 'names an issuer twice')
  .refine((list) => new Set(list.map(({ name }) => name)).size === list.length, 'gives a name twice')
  .default([])
