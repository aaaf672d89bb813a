import { KeyObject, type webcrypto } from 'node:crypto'
import { Injectable } from '@nestjs/common'
import { PassportStrategy } from '@nestjs/passport'
import { createRemoteJWKSet, decodeProtectedHeader, type JWSHeaderParameters } from 'jose'
import { ExtractJwt, Strategy } from 'passport-jwt'
import { principalOf } from './principal.js'

/** What tokens a resource server accepts. */
export interface TokenPolicy {
  issuer: string
  audience: string
  jwksUrl: string
}

const CLOCK_SKEW_SECONDS = 30
const TYPES = ['at+jwt', 'application/at+jwt']

type KeyLookup = (header: JWSHeaderParameters) => Promise<KeyObject>

/**
 * The issuer's keys, fetched when a token names an unknown one and then at most once in 30 s, so that a flood of
 * invented key ids costs the issuer one request. Key references inside a token (`jku`, `jwk`, `x5u`) are not followed.
 */
export function remoteKeys(jwksUrl: string): KeyLookup {
  const jwks = createRemoteJWKSet(new URL(jwksUrl), { cooldownDuration: 30_000, timeoutDuration: 3_000 })
  return async ({ alg, kid }) => {
    const key = await jwks({ alg, kid }, { payload: '', signature: '' })
    return key instanceof KeyObject ? key : KeyObject.from(key as webcrypto.CryptoKey)
  }
}

/** Looks up the key of a token that is an ES256 access token (RFC 9068 2.1) by its header; else fails. */
function keyProvider(lookUp: KeyLookup) {
  return (_request: unknown, token: string, done: (error: Error | null, key?: KeyObject) => void): void => {
    Promise.resolve()
      .then(() => {
        const header = decodeProtectedHeader(token)
        if (header.alg !== 'ES256' || !TYPES.includes(header.typ?.toLowerCase() ?? ''))
          throw new Error('not an access token')
        return lookUp(header as JWSHeaderParameters)
      })
      .then(
        (key) => done(null, key),
        (error: Error) => done(error),
      )
  }
}

/** Verifies bearer tokens: algorithm, type, signature, issuer, audience, times. */
@Injectable()
export class JwtStrategy extends PassportStrategy(Strategy, 'jwt') {
  constructor({ issuer, audience, jwksUrl }: TokenPolicy) {
    super({
      jwtFromRequest: ExtractJwt.fromAuthHeaderAsBearerToken(),
      secretOrKeyProvider: keyProvider(remoteKeys(jwksUrl)) as never,
      algorithms: ['ES256'],
      issuer,
      audience,
      ignoreExpiration: false,
      jsonWebTokenOptions: { clockTolerance: CLOCK_SKEW_SECONDS },
    })
  }

  /** What passport puts on the request; `false` refuses a token without the claims we need. */
  validate(claims: Record<string, unknown>) {
    if (typeof claims.exp !== 'number') return false
    return principalOf(claims) ?? false
  }
}
