import { randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose'

interface TokenRequest {
  scopes: string[]
  tenant?: string
  clientId?: string
  /** Claims that replace or add to the usual ones. */
  claims?: JWTPayload
}

/** An authorization server of the test's own: a JWKS over HTTP and RFC 9068 `at+jwt` tokens signed with ES256. */
export interface Issuer {
  url: string
  /** What a service's configuration needs to trust this issuer. */
  config: { ISSUER: string; JWKS_URL: string; TOKEN_AUDIENCE: string }
  token(request: TokenRequest): Promise<string>
  stop(): Promise<void>
}

const AUDIENCE = 'vigil'

export async function startIssuer(): Promise<Issuer> {
  const { privateKey, publicKey } = await generateKeyPair('ES256')
  const kid = randomUUID()
  const jwks = JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid, alg: 'ES256', use: 'sig' }] })
  const server = createServer((request, response) => {
    const found = request.url === '/.well-known/jwks.json'
    response.writeHead(found ? 200 : 404, { 'content-type': 'application/json' }).end(found ? jwks : '{}')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const token = ({ scopes, tenant = 'default', clientId = 'payments', claims }: TokenRequest) =>
    new SignJWT({ client_id: clientId, scope: scopes.join(' '), tenant, ...claims })
      .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid })
      .setIssuer(claims?.iss ?? url)
      .setAudience(claims?.aud ?? AUDIENCE)
      .setSubject(claims?.sub ?? clientId)
      .setJti(claims?.jti ?? randomUUID())
      .setIssuedAt(claims?.iat)
      .setExpirationTime(claims?.exp ?? '10m')
      .sign(privateKey)
  const stop = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  return {
    url,
    config: { ISSUER: url, JWKS_URL: `${url}/.well-known/jwks.json`, TOKEN_AUDIENCE: AUDIENCE },
    token,
    stop,
  }
}
