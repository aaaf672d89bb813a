import { z } from 'zod'

/** A token request after RFC 6749 4.4 (client credentials), in whichever of three ways it came. */
export interface TokenRequest {
  clientId: string
  clientSecret: string
  scope?: string
}

/** Error codes of RFC 6749 5.2. */
export type TokenError = 'invalid_request' | 'invalid_client' | 'unsupported_grant_type' | 'invalid_scope'

export type ParsedRequest =
  | { ok: true; request: TokenRequest }
  | { ok: false; error: TokenError; description: string }

const Body = z.strictObject({
  grant_type: z.string().max(64).default('client_credentials'),
  client_id: z.string().min(1).max(64).optional(),
  client_secret: z.string().min(1).max(256).optional(),
  scope: z.string().max(512).optional(),
})

const refuse = (error: TokenError, description: string): ParsedRequest => ({ ok: false, error, description })

/** Client id and secret of an HTTP Basic header, form-decoded as RFC 6749 2.3.1 demands. */
function basicCredentials(header: string): { id: string; secret: string } | undefined {
  const match = /^Basic ([A-Za-z0-9+/]+={0,2})$/i.exec(header)
  const text = Buffer.from(match?.[1] ?? '', 'base64').toString('utf8')
  const colon = text.indexOf(':')
  if (colon < 1) return undefined
  try {
    const decode = (part: string) => decodeURIComponent(part.replaceAll('+', ' '))
    return { id: decode(text.slice(0, colon)), secret: decode(text.slice(colon + 1)) }
  } catch {
    return undefined
  }
}

/** Reads a token request from a form or JSON body and the Authorization header; two ways at once are refused. */
export function parseTokenRequest(body: unknown, authorization: string | undefined): ParsedRequest {
  const parsed = Body.safeParse(body ?? {})
  if (!parsed.success) {
    const fields = parsed.error.issues.map((issue) => issue.path.join('.') || 'an unknown field').join(', ')
    return refuse('invalid_request', `Not valid: ${fields}`)
  }
  const { grant_type, client_id, client_secret, scope } = parsed.data
  if (grant_type !== 'client_credentials')
    return refuse('unsupported_grant_type', 'Only client_credentials is supported')
  if (authorization === undefined) {
    if (!client_id || !client_secret)
      return refuse('invalid_client', 'client_id and client_secret are required')
    return { ok: true, request: { clientId: client_id, clientSecret: client_secret, scope } }
  }
  const basic = basicCredentials(authorization)
  if (!basic) return refuse('invalid_client', 'The Authorization header is not HTTP Basic')
  if (client_secret !== undefined || (client_id !== undefined && client_id !== basic.id)) {
    return refuse('invalid_request', 'Send the credentials in one way only')
  }
  return { ok: true, request: { clientId: basic.id, clientSecret: basic.secret, scope } }
}

/** The scopes to grant: all of the client's when none is asked for; undefined where more is asked than it has. */
export function grantScopes(requested: string | undefined, allowed: readonly string[]): string[] | undefined {
  const wanted = requested?.split(' ').filter(Boolean) ?? []
  if (wanted.length === 0) return [...allowed]
  return wanted.every((scope) => allowed.includes(scope)) ? [...new Set(wanted)] : undefined
}
