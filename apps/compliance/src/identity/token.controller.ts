import { Body, Controller, Headers, HttpCode, Inject, Post, Req } from '@nestjs/common'
import { ApiTags } from '@nestjs/swagger'
import type { FastifyRequest } from 'fastify'
import { decodeJwt } from 'jose'
import { appendAudit } from '#libs/audit'
import { Public } from '#libs/auth'
import { clientCertificate, correlation, inTransaction, type ProblemError, problems } from '#libs/platform'
import { COMPLIANCE, type Compliance } from '../compliance.js'
import { ask, type ProviderAnswer } from './ask.js'
import { parseTokenRequest, type TokenError } from './token-request.js'

/** RFC 6749 5.1, with the ID token of OpenID Connect Core 3.1.3.3 where a person signed in. */
interface TokenResponse {
  access_token: string
  token_type: 'Bearer'
  expires_in: number
  scope: string
  id_token?: string
}

const NO_CERTIFICATE = 'The client is bound to a certificate (RFC 8705): none was shown'

const reasonOf = (
  { lacksCertificate }: ProviderAnswer,
  { error, error_description }: { error: string; error_description?: string },
): string => (error === 'invalid_grant' && lacksCertificate ? NO_CERTIFICATE : (error_description ?? error))

function tokenProblem(error: TokenError, description: string): ProblemError {
  const extensions = { error, error_description: description }
  if (error !== 'invalid_client') return problems.invalidRequest({ detail: description, extensions })
  const headers = { 'www-authenticate': 'Basic realm="vigil"' }
  return problems.invalidClient({ detail: description, extensions, headers })
}

/** Token endpoint (RFC 6749 4.1.3, 4.4). Public: this is where callers prove who they are. */
@ApiTags('identity')
@Public('callers prove who they are here')
@Controller('auth/token')
export class TokenController {
  constructor(@Inject(COMPLIANCE) private readonly compliance: Compliance) {}

  @Post()
  @HttpCode(200)
  async issue(
    @Body() body: unknown,
    @Headers('authorization') authorization: string | undefined,
    @Req() request: FastifyRequest,
  ): Promise<TokenResponse> {
    const parsed = parseTokenRequest(body, authorization)
    if (!parsed.ok) return this.refuse(parsed.claimedClient, parsed.error, parsed.description)
    const answer = await this.put(request, parsed.form, authorization)
    const content = JSON.parse(answer.body) as TokenResponse & { error: string; error_description?: string }
    if (answer.status !== 200)
      return this.refuse(parsed.claimedClient, content.error, reasonOf(answer, content))
    await this.recordIssue(content, parsed.form.grant_type!)
    return content
  }

  private async put(
    request: FastifyRequest,
    form: Record<string, string>,
    authorization: string | undefined,
  ): Promise<ProviderAnswer> {
    const certificate = clientCertificate(request.raw.socket)
    return ask(await this.compliance.identity.provider(), request, {
      method: 'POST',
      url: '/auth/token',
      accept: 'application/json',
      headers: { authorization, cookie: undefined },
      form,
      ...(certificate.state === 'trusted' ? { certificate: certificate.thumbprint } : {}),
    })
  }

  /** By IHE BALP: who the token is about, for which application, and its id; the token leaves when this is on disk. */
  private async recordIssue({ access_token, scope }: TokenResponse, grant: string): Promise<void> {
    const { iss, sub, jti, client_id, tenant } = decodeJwt<{ client_id: string; tenant: string }>(
      access_token,
    )
    const person = sub !== client_id
    await inTransaction(this.compliance.pool, (client) =>
      appendAudit(client, {
        tenant,
        service: 'compliance',
        actor: person ? { type: 'user', id: sub! } : { type: 'client', id: client_id },
        action: 'TOKEN_ISSUED',
        outcome: 'success',
        correlationId: correlation().correlationId,
        details: { iss: iss!, sub: sub!, client_id, jti: jti!, grant, scope: scope ?? '' },
      }),
    )
  }

  private async refuse(claimed: string, error: TokenError, description: string): Promise<never> {
    const { pool, issuer } = this.compliance
    await inTransaction(pool, async (client) => {
      const { rows } = await client.query<{ tenant: string }>(
        'SELECT tenant FROM identity.client WHERE client_id = $1',
        [claimed],
      )
      await appendAudit(client, {
        tenant: rows[0]?.tenant ?? 'default',
        service: 'compliance',
        actor: { type: 'client', id: claimed },
        action: 'TOKEN_REFUSED',
        outcome: 'denied',
        correlationId: correlation().correlationId,
        details: { iss: issuer, client_id: claimed, error },
      })
    })
    throw tokenProblem(error, description)
  }
}
