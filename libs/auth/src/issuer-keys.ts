import { KeyObject, type webcrypto } from 'node:crypto'
import { createRemoteJWKSet, type JWSHeaderParameters } from 'jose'
import { z } from 'zod'

export type KeyLookup = (header: JWSHeaderParameters) => Promise<KeyObject>

const COOL_DOWN_MS = 30_000
const TIMEOUT_MS = 3_000
/** A key that its issuer has taken back is forgotten after this long, even if nobody names an unknown one. */
const MAX_AGE_MS = 300_000

/**
 * The issuer's keys, fetched when a token names an unknown one and then at most once in 30 s, so that a flood of
 * invented key ids costs the issuer one request. Key references inside a token (`jku`, `jwk`, `x5u`) are not followed.
 */
export function remoteKeys(jwksUrl: string): KeyLookup {
  const jwks = createRemoteJWKSet(new URL(jwksUrl), {
    cooldownDuration: COOL_DOWN_MS,
    timeoutDuration: TIMEOUT_MS,
    cacheMaxAge: MAX_AGE_MS,
  })
  return async ({ alg, kid }) => {
    const key = await jwks({ alg, kid }, { payload: '', signature: '' })
    return key instanceof KeyObject ? key : KeyObject.from(key as webcrypto.CryptoKey)
  }
}

const Discovery = z.object({ issuer: z.string(), jwks_uri: z.url({ protocol: /^https?$/ }) })

async function discover(issuer: string): Promise<KeyLookup> {
  const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`
  // A redirect could lead anywhere inside our network.
  const response = await fetch(url, { redirect: 'error', signal: AbortSignal.timeout(TIMEOUT_MS) })
  if (!response.ok) throw new Error(`discovery answered ${response.status}`)
  const document = Discovery.parse(await response.json())
  if (document.issuer !== issuer) throw new Error('discovery is about another issuer')
  return remoteKeys(document.jwks_uri)
}

/** The keys that an issuer's discovery document leads to (OpenID Connect Discovery 4); tried again after 30 s. */
export function discoveredKeys(issuer: string, now: () => number = Date.now): KeyLookup {
  let found: Promise<KeyLookup> | undefined
  let failedAt = Number.NEGATIVE_INFINITY
  return async (header) => {
    if (!found && now() - failedAt < COOL_DOWN_MS) throw new Error('the issuer is not to be found')
    found ??= discover(issuer).catch((error: Error) => {
      found = undefined
      failedAt = now()
      throw error
    })
    return (await found)(header)
  }
}
