import { z } from 'zod'

/** Error codes of RFC 6749 5.2 and RFC 8707 2 that our token endpoint gives. */
export type TokenError = string

/** A token request as a form, whichever way it came. */
export type ParsedRequest =
  | { ok: true; form: Record<string, string>; claimedClient: string }
  | { ok: false; error: TokenError; description: string; claimedClient: string }

const short = z.string().min(1).max(512)
const Body = z.object({
  grant_type: z.string().max(128).default('client_credentials'),
  client_id: z.string().min(1).max(64).optional(),
  client_secret: z.string().min(1).max(256).optional(),
  client_assertion: z.string().min(1).max(8_192).optional(),
  client_assertion_type: short.optional(),
  scope: z.string().max(1_024).optional(),
  resource: short.optional(),
  code: short.optional(),
  code_verifier: z.string().max(128).optional(),
  redirect_uri: z.string().max(2_048).optional(),
})

const decode = (part: string): string => decodeURIComponent(part.replaceAll('+', ' '))

/** The client that HTTP Basic names (RFC 6749 2.3.1). */
function basicClient(header: string): string | undefined {
  const match = /^Basic ([A-Za-z0-9+/]+={0,2})$/i.exec(header)
  const [id] = Buffer.from(match?.[1] ?? '', 'base64')
    .toString('utf8')
    .split(':')
  try {
    return id ? decode(id) : undefined
  } catch {
    return undefined
  }
}

/** The client that an assertion says it is of (RFC 7523 3), before anything of it is verified. */
function assertionClient(assertion: string): string | undefined {
  try {
    const claims: unknown = JSON.parse(
      Buffer.from(assertion.split('.')[1] ?? '', 'base64url').toString('utf8'),
    )
    const { sub } = claims as { sub?: unknown }
    return typeof sub === 'string' ? sub : undefined
  } catch {
    return undefined
  }
}

/** Whoever asks with a wrong secret may be anybody: the name they gave is a claim, kept as far as it is one of ours. */
const claimOf = (name: string | undefined): string =>
  name && /^[A-Za-z0-9_-]{1,64}$/.test(name) ? name : 'unknown'

/**
 * Reads a token request from a form or JSON body and the Authorization header. What is not known is ignored (RFC 6749
 * 3.2). A request without any credentials is `invalid_client`, whatever else it asks.
 */
export function parseTokenRequest(body: unknown, authorization: string | undefined): ParsedRequest {
  const parsed = Body.safeParse(body ?? {})
  const named = authorization === undefined ? undefined : basicClient(authorization)
  if (!parsed.success) {
    const fields = parsed.error.issues.map((issue) => issue.path.join('.') || 'the body').join(', ')
    const description = `Not valid: ${fields}`
    return { ok: false, error: 'invalid_request', description, claimedClient: claimOf(named) }
  }
  const form = Object.fromEntries(Object.entries(parsed.data).filter(([, value]) => value !== undefined))
  const { client_id, client_secret, client_assertion, grant_type } = parsed.data
  const assertion = client_assertion && assertionClient(client_assertion)
  const claimedClient = claimOf(named ?? client_id ?? assertion)
  // A public client (of people) has no credentials but the code's verifier.
  const anonymous =
    !authorization && !client_secret && !client_assertion && grant_type !== 'authorization_code'
  if (anonymous || (!authorization && !client_id && !client_assertion))
    return {
      ok: false,
      error: 'invalid_client',
      description: 'Client authentication is required',
      claimedClient,
    }
  return { ok: true, form: form as Record<string, string>, claimedClient }
}
