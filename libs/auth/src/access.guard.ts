import type { BlockList } from 'node:net'
import { type ExecutionContext, Inject, Injectable } from '@nestjs/common'
import { Reflector } from '@nestjs/core'
import { AuthGuard } from '@nestjs/passport'
import type { FastifyRequest } from 'fastify'
import { problems } from '#libs/platform'
import type { ApiKeys } from './api-keys.js'
import { certificateOf, isBoundElsewhere } from './certificate.js'
import { PUBLIC, REQUIRED_SCOPES } from './decorators.js'
import type { VerifiedToken } from './jwt.strategy.js'
import { authorize, type Principal } from './principal.js'
import type { TokenCache } from './token-cache.js'

/** Injection token of what the guard remembers and asks. */
export const CREDENTIALS = Symbol('credentials')

export interface Credentials {
  tokens: TokenCache<VerifiedToken>
  apiKeys?: ApiKeys
  /** Proxies whose word on client certificates is taken. */
  proxies?: BlockList
}

type Request = FastifyRequest & { user?: Principal }

const invalid = (detail: string, parameters: string) =>
  problems.unauthenticated({ detail, headers: { 'www-authenticate': `Bearer realm="vigil"${parameters}` } })

const nothingShown = () => invalid('Send an access token: Authorization: Bearer <token>', '')
const invalidToken = () => invalid('The access token is not valid', ', error="invalid_token"')
const wrongCertificate = (shown: string | undefined) =>
  invalid(
    `The access token is bound to a client certificate: ${shown ? 'this is another one' : 'none was shown'}`,
    ', error="invalid_token"',
  )
const invalidKey = () => invalid('The API key is not valid', '')
const twoShown = () => invalid('Send an access token or an API key, not both', ', error="invalid_request"')

const BEARER = /^Bearer +(\S+)$/i

/** A route that declares neither @Scopes() nor @Public() is closed to everybody. */
@Injectable()
export class AccessGuard extends AuthGuard('jwt') {
  constructor(
    private readonly reflector: Reflector,
    @Inject(CREDENTIALS) private readonly credentials: Credentials,
  ) {
    super()
  }

  override async canActivate(context: ExecutionContext): Promise<boolean> {
    const targets = [context.getHandler(), context.getClass()]
    if (this.reflector.getAllAndOverride<boolean>(PUBLIC, targets)) return true
    const required = this.reflector.getAllAndOverride<string[] | undefined>(REQUIRED_SCOPES, targets)
    if (!required) throw problems.forbidden({ detail: 'This route is not open to anybody' })
    const request = context.switchToHttp().getRequest<Request>()
    const caller = await this.identify(request, context)
    request.user = caller
    request.clientId = caller.clientId
    const decision = authorize(caller, required)
    if (decision.allowed) return true
    const missing = decision.missing.join(' ')
    throw problems.forbidden({
      detail: `The token lacks the scope ${missing}`,
      headers: { 'www-authenticate': `Bearer realm="vigil", error="insufficient_scope", scope="${missing}"` },
    })
  }

  private async identify(request: Request, context: ExecutionContext): Promise<Principal> {
    const { authorization, 'x-api-key': key } = request.headers
    if (key === undefined) return this.bearer(request, context)
    if (authorization !== undefined || typeof key !== 'string') throw twoShown()
    const caller = await this.credentials.apiKeys?.find(key)
    if (!caller) throw invalidKey()
    return caller
  }

  private async bearer(request: Request, context: ExecutionContext): Promise<Principal> {
    const token = BEARER.exec(request.headers.authorization ?? '')?.[1]
    const known = token && this.credentials.tokens.get(token, Date.now())
    const verified = known || (await this.verify(context, token))
    const shown = certificateOf(request, this.credentials.proxies)
    if (isBoundElsewhere(verified.certificate, shown)) throw wrongCertificate(shown)
    return verified.principal
  }

  /** By passport, which leaves what `handleRequest` returns on the request. */
  private async verify(context: ExecutionContext, token: string | undefined): Promise<VerifiedToken> {
    await super.canActivate(context)
    const { user: verified } = context.switchToHttp().getRequest<{ user: VerifiedToken }>()
    if (token) this.credentials.tokens.put(token, verified, Date.now())
    return verified
  }

  /** Called by passport with whatever it found; only a verified token passes (RFC 6750 3). */
  override handleRequest<T>(error: unknown, user: T | false, _info: unknown, context: ExecutionContext): T {
    if (user && !error) return user
    throw context.switchToHttp().getRequest<Request>().headers.authorization ? invalidToken() : nothingShown()
  }
}
