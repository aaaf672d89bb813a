import type { BlockList } from 'node:net'
import type { Pool } from 'pg'
import { z } from 'zod'
import type { Credentials } from './access.guard.js'
import { type ApiKeys, StoredApiKeys } from './api-keys.js'
import { MtlsProxies } from './certificate.js'
import { type IssuerPolicy, OidcIssuers } from './issuer-policy.js'
import { externalIssuer, ownIssuer, type TrustedIssuer } from './jwt.strategy.js'
import { TokenCache } from './token-cache.js'

/** What a resource server accepts as proof of who is calling. */
export interface TokenPolicy {
  /** Our own authorization server. */
  issuer: string
  audience: string
  jwksUrl: string
  /** Others, by configuration. */
  external?: readonly IssuerPolicy[]
  apiKeys?: ApiKeys
  proxies?: BlockList | undefined
  /** How many verified tokens are remembered; 0 verifies each time. */
  remembered?: number
}

/** Settings of every service that asks for tokens. */
export const tokenSettings = {
  OIDC_ISSUERS: OidcIssuers,
  MTLS_PROXIES: MtlsProxies,
  /** Verified tokens that are remembered, for a minute at most. */
  TOKEN_CACHE_SIZE: z.coerce.number().int().min(0).max(1_000_000).default(10_000),
}

interface TokenConfig {
  ISSUER: string
  TOKEN_AUDIENCE: string
  JWKS_URL?: string | undefined
  OIDC_ISSUERS: IssuerPolicy[]
  MTLS_PROXIES?: BlockList | undefined
  TOKEN_CACHE_SIZE: number
}

/** The policy that a service's configuration says; API keys are asked for in its database. */
export const tokenPolicy = (config: TokenConfig, pool: Pool): TokenPolicy => ({
  issuer: config.ISSUER,
  audience: config.TOKEN_AUDIENCE,
  jwksUrl: config.JWKS_URL ?? `${config.ISSUER}/.well-known/jwks.json`,
  external: config.OIDC_ISSUERS,
  apiKeys: new StoredApiKeys(pool),
  proxies: config.MTLS_PROXIES,
  remembered: config.TOKEN_CACHE_SIZE,
})

export const issuersOf = ({ issuer, audience, jwksUrl, external = [] }: TokenPolicy): TrustedIssuer[] => [
  ownIssuer(issuer, audience, jwksUrl),
  ...external.map(externalIssuer),
]

const REMEMBERED_MS = 60_000
const REMEMBERED = 10_000

export const credentialsFor = ({ apiKeys, proxies, remembered = REMEMBERED }: TokenPolicy): Credentials => ({
  tokens: new TokenCache(remembered, REMEMBERED_MS),
  ...(apiKeys ? { apiKeys } : {}),
  ...(proxies ? { proxies } : {}),
})
