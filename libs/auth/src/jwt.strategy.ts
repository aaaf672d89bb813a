import type { KeyObject } from 'node:crypto'
import { Injectable } from '@nestjs/common'
import { PassportStrategy } from '@nestjs/passport'
import { decodeJwt, decodeProtectedHeader, type JWSHeaderParameters } from 'jose'
import { ExtractJwt, Strategy } from 'passport-jwt'
import { at, principalFrom } from './claims.js'
import { discoveredKeys, type KeyLookup, remoteKeys } from './issuer-keys.js'
import { IssuerPolicy } from './issuer-policy.js'
import { type Principal, principalOf } from './principal.js'

/** A token that was verified: who it speaks of, until when, and which TLS certificate it is bound to. */
export interface VerifiedToken {
  principal: Principal
  /** Milliseconds since 1970. */
  expiresAt: number
  /** RFC 8705 3.1: `cnf.x5t#S256`. */
  certificate?: string
}

/** One issuer that a resource server listens to. */
export interface TrustedIssuer {
  issuer: string
  audience: string
  algorithms: readonly string[]
  types: readonly string[]
  keyOf: KeyLookup
  read(claims: Record<string, unknown>): Principal | undefined
}

const CLOCK_SKEW_SECONDS = 30

/** Our own authorization server: RFC 9068 tokens, signed with ES256. */
export const ownIssuer = (issuer: string, audience: string, jwksUrl: string): TrustedIssuer => ({
  ...{ issuer, audience },
  algorithms: ['ES256'],
  types: ['at+jwt', 'application/at+jwt'],
  keyOf: remoteKeys(jwksUrl),
  read: principalOf,
})

/** Anybody's authorization server, by configuration. */
export const externalIssuer = (policy: IssuerPolicy): TrustedIssuer => ({
  issuer: policy.issuer,
  audience: policy.audience,
  algorithms: policy.algorithms,
  types: policy.types,
  keyOf: policy.jwks_uri ? remoteKeys(policy.jwks_uri) : discoveredKeys(policy.issuer),
  read: (claims) => principalFrom(claims, policy),
})

/** Looks up the key of a token: by its issuer's policy on algorithm and type, then by its header; else fails. */
function keyProvider(issuers: ReadonlyMap<string, TrustedIssuer>) {
  return (_request: unknown, token: string, done: (error: Error | null, key?: KeyObject) => void): void => {
    Promise.resolve()
      .then(() => {
        const { alg, typ, kid } = decodeProtectedHeader(token) as JWSHeaderParameters
        const policy = issuers.get(String(decodeJwt(token).iss))
        if (!policy?.algorithms.includes(alg ?? '')) throw new Error('not a signature that we accept')
        if (!policy.types.includes(typ?.toLowerCase() ?? '')) throw new Error('not an access token')
        return policy.keyOf({ alg: alg!, ...(kid === undefined ? {} : { kid }) })
      })
      .then(
        (key) => done(null, key),
        (error: Error) => done(error),
      )
  }
}

const includes = (audience: unknown, ours: string): boolean =>
  Array.isArray(audience) ? audience.includes(ours) : audience === ours

/** `cnf` says what the sender must prove (RFC 7800); one that we do not know cannot be proved to us. */
function bindingOf(claims: Record<string, unknown>): { certificate?: string } | undefined {
  if (claims.cnf === undefined) return {}
  const thumbprint = at(claims, '/cnf/x5t#S256')
  return typeof thumbprint === 'string' ? { certificate: thumbprint } : undefined
}

/** Verifies bearer tokens: issuer, algorithm, type, signature, audience, times. */
@Injectable()
export class JwtStrategy extends PassportStrategy(Strategy, 'jwt') {
  private readonly issuers: ReadonlyMap<string, TrustedIssuer>

  constructor(trusted: readonly TrustedIssuer[]) {
    const issuers = new Map(trusted.map((issuer) => [issuer.issuer, issuer]))
    super({
      jwtFromRequest: ExtractJwt.fromAuthHeaderAsBearerToken(),
      secretOrKeyProvider: keyProvider(issuers) as never,
      algorithms: [...new Set(trusted.flatMap(({ algorithms }) => algorithms))] as never,
      issuer: [...issuers.keys()] as never,
      audience: [...new Set(trusted.map(({ audience }) => audience))],
      ignoreExpiration: false,
      jsonWebTokenOptions: { clockTolerance: CLOCK_SKEW_SECONDS },
    })
    this.issuers = issuers
  }

  /** What passport hands to the guard; `false` refuses a token without the claims we need, or for another audience. */
  validate(claims: Record<string, unknown>): VerifiedToken | false {
    const policy = this.issuers.get(String(claims.iss))
    const binding = bindingOf(claims)
    if (!policy || !binding || typeof claims.exp !== 'number' || !includes(claims.aud, policy.audience))
      return false
    const principal = policy.read(claims)
    return principal ? { principal, expiresAt: claims.exp * 1000, ...binding } : false
  }
}
