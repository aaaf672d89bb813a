import { randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'

/** An authorization server's keys over HTTP, and a token that they verify: what both services check on every request. */
export interface BenchIssuer {
  env: { ISSUER: string; JWKS_URL: string; TOKEN_AUDIENCE: string }
  token: string
  stop(): Promise<void>
}

export async function startIssuer(): Promise<BenchIssuer> {
  const { privateKey, publicKey } = await generateKeyPair('ES256')
  const kid = randomUUID()
  const keys = JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid, alg: 'ES256', use: 'sig' }] })
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' }).end(keys)
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const token = await new SignJWT({
    client_id: 'payments',
    scope: 'ai:inference data:read',
    tenant: 'default',
  })
    .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid })
    .setIssuer(url)
    .setAudience('vigil')
    .setSubject('payments')
    .setJti(randomUUID())
    .setIssuedAt()
    .setExpirationTime('12h')
    .sign(privateKey)
  const stop = () => new Promise<void>((closed) => void server.close(() => closed()).closeAllConnections())
  return { env: { ISSUER: url, JWKS_URL: url, TOKEN_AUDIENCE: 'vigil' }, token, stop }
}
