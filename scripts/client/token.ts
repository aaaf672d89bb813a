import type { ClientCredentials } from '../supervise/secrets.js'
import { unreachable } from './unreachable.js'

/** An access token by client credentials (RFC 6749 4.4). */
export async function requestToken(
  issuer: string,
  client: ClientCredentials,
  scope?: string,
): Promise<string> {
  const body = new URLSearchParams({
    grant_type: 'client_credentials',
    client_id: client.client_id,
    client_secret: client.client_secret,
  })
  if (scope) body.set('scope', scope)
  const response = await fetch(`${issuer}/auth/token`, { method: 'POST', body }).catch((error: unknown) => {
    throw new Error(unreachable(issuer, error))
  })
  if (!response.ok) throw new Error(`${client.name} got no token: ${response.status}`)
  return ((await response.json()) as { access_token: string }).access_token
}
