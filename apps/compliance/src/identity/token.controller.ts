import { Body, Controller, Get, Header, Headers, HttpCode, Inject, Post, Req } from '@nestjs/common'
import { ApiExcludeEndpoint, ApiTags } from '@nestjs/swagger'
import type { FastifyRequest } from 'fastify'
import { SignJWT } from 'jose'
import type pg from 'pg'
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible'
import { appendAudit } from '#libs/audit'
import { Public } from '#libs/auth'
import { correlation, inTransaction, newId, type ProblemError, problems } from '#libs/platform'
import { COMPLIANCE, type Compliance } from '../compliance.js'
import { authenticateClient, type Client } from './clients.js'
import { publicKeys } from './signing-keys.js'
import { grantScopes, parseTokenRequest, type TokenError, type TokenRequest } from './token-request.js'

const TOKEN_LIFETIME_SECONDS = 900
const PER_MINUTE = 60

/** RFC 6749 5.1. */
interface TokenResponse {
  access_token: string
  token_type: 'Bearer'
  expires_in: number
  scope: string
}

function tokenProblem(error: TokenError, description: string): ProblemError {
  const extensions = { error, error_description: description }
  if (error !== 'invalid_client') return problems.invalidRequest({ detail: description, extensions })
  const headers = { 'www-authenticate': 'Basic realm="vigil"' }
  return problems.invalidClient({ detail: description, extensions, headers })
}

/** Token endpoint (RFC 6749 4.4) and discovery documents. Public: this is where callers prove who they are. */
@ApiTags('identity')
@Public('callers prove who they are here; keys and discovery are for every verifier')
@Controller()
export class TokenController {
  private readonly limiter = new RateLimiterMemory({ points: PER_MINUTE, duration: 60 })

  constructor(@Inject(COMPLIANCE) private readonly compliance: Compliance) {}

  @Post('auth/token')
  @HttpCode(200)
  async issue(
    @Body() body: unknown,
    @Headers('authorization') authorization: string | undefined,
    @Req() request: FastifyRequest,
  ): Promise<TokenResponse> {
    await this.limit(request.ip)
    const parsed = parseTokenRequest(body, authorization)
    if (!parsed.ok) throw tokenProblem(parsed.error, parsed.description)
    const { outcome, ...result } = await inTransaction(this.compliance.pool, async (client) => {
      const decision = await this.decide(client, parsed.request)
      await this.record(client, parsed.request.clientId, decision)
      return decision
    })
    if (outcome === 'refused') throw tokenProblem(result.error!, result.description!)
    return this.sign(result.client!, result.scopes!)
  }

  private async decide(client: pg.ClientBase, request: TokenRequest): Promise<Decision> {
    const known = await authenticateClient(client, request.clientId, request.clientSecret)
    if (!known)
      return { outcome: 'refused', error: 'invalid_client', description: 'Unknown client or wrong secret' }
    const scopes = grantScopes(request.scope, known.scopes)
    if (scopes) return { outcome: 'issued', client: known, scopes }
    return {
      outcome: 'refused',
      client: known,
      error: 'invalid_scope',
      description: 'The client may not have that scope',
    }
  }

  /** Whoever asked with a wrong secret may be anybody: the name they gave is a claim, kept as far as it is one of ours. */
  private async record(client: pg.ClientBase, claimed: string, decision: Decision): Promise<void> {
    await appendAudit(client, {
      tenant: decision.client?.tenant ?? 'default',
      service: 'compliance',
      actor: { type: 'client', id: /^[A-Za-z0-9_-]{1,64}$/.test(claimed) ? claimed : 'unknown' },
      action: decision.outcome === 'issued' ? 'TOKEN_ISSUED' : 'TOKEN_REFUSED',
      outcome: decision.outcome === 'issued' ? 'success' : 'denied',
      correlationId: correlation().correlationId,
      details:
        decision.outcome === 'issued' ? { scope: decision.scopes!.join(' ') } : { error: decision.error! },
    })
  }

  private async sign({ clientId, tenant }: Client, scopes: string[]): Promise<TokenResponse> {
    const { issuer, audience, signingKey } = this.compliance
    const scope = scopes.join(' ')
    const token = await new SignJWT({ client_id: clientId, tenant, scope })
      .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid: signingKey.kid })
      .setIssuer(issuer)
      .setSubject(clientId)
      .setAudience(audience)
      .setIssuedAt()
      .setExpirationTime(`${TOKEN_LIFETIME_SECONDS}s`)
      .setJti(newId())
      .sign(signingKey.privateKey)
    return { access_token: token, token_type: 'Bearer', expires_in: TOKEN_LIFETIME_SECONDS, scope }
  }

  private async limit(address: string): Promise<void> {
    try {
      await this.limiter.consume(address)
    } catch (refusal) {
      if (!(refusal instanceof RateLimiterRes)) throw refusal
      const seconds = Math.ceil(refusal.msBeforeNext / 1000)
      throw problems.tooManyRequests({
        detail: `At most ${PER_MINUTE} token requests a minute`,
        headers: { 'retry-after': String(seconds), 'ratelimit-policy': `"token";q=${PER_MINUTE};w=60` },
      })
    }
  }

  @Get('.well-known/jwks.json')
  @Header('cache-control', 'public, max-age=300')
  @ApiExcludeEndpoint()
  jwks() {
    return publicKeys(this.compliance.pool)
  }

  /** Only what is true today (OpenID Connect Discovery 3, RFC 8414). */
  @Get('.well-known/openid-configuration')
  @Header('cache-control', 'public, max-age=300')
  @ApiExcludeEndpoint()
  configuration() {
    const { issuer } = this.compliance
    return {
      issuer,
      token_endpoint: `${issuer}/auth/token`,
      jwks_uri: `${issuer}/.well-known/jwks.json`,
      grant_types_supported: ['client_credentials'],
      response_types_supported: [],
      token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['ES256'],
    }
  }
}

interface Decision {
  outcome: 'issued' | 'refused'
  client?: Client
  scopes?: string[]
  error?: TokenError
  description?: string
}
