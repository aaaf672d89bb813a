import { type ExecutionContext, Injectable } from '@nestjs/common'
import { Reflector } from '@nestjs/core'
import { AuthGuard } from '@nestjs/passport'
import { problems } from '#libs/platform'
import { PUBLIC, REQUIRED_SCOPES } from './decorators.js'
import { authorize, type Principal } from './principal.js'

interface Request {
  headers: { authorization?: string }
  user?: Principal
  clientId?: string
}

const challenge = (hasToken: boolean, parameters = '') =>
  problems.unauthenticated({
    detail: hasToken
      ? 'The access token is not valid'
      : 'Send an access token: Authorization: Bearer <token>',
    headers: { 'www-authenticate': `Bearer realm="vigil"${parameters}` },
  })

/** Registered globally: a route that declares neither @Scopes() nor @Public() is closed to everybody. */
@Injectable()
export class AccessGuard extends AuthGuard('jwt') {
  constructor(private readonly reflector: Reflector) {
    super()
  }

  override async canActivate(context: ExecutionContext): Promise<boolean> {
    const targets = [context.getHandler(), context.getClass()]
    if (this.reflector.getAllAndOverride<boolean>(PUBLIC, targets)) return true
    const required = this.reflector.getAllAndOverride<string[] | undefined>(REQUIRED_SCOPES, targets)
    if (!required) throw problems.forbidden({ detail: 'This route is not open to anybody' })
    await super.canActivate(context)
    const request = context.switchToHttp().getRequest<Request>()
    if (!request.user) throw challenge(false)
    request.clientId = request.user.clientId
    const decision = authorize(request.user, required)
    if (decision.allowed) return true
    const missing = decision.missing.join(' ')
    throw problems.forbidden({
      detail: `The token lacks the scope ${missing}`,
      headers: { 'www-authenticate': `Bearer realm="vigil", error="insufficient_scope", scope="${missing}"` },
    })
  }

  /** Called by passport with whatever it found; only a principal passes (RFC 6750 3). */
  override handleRequest<T>(error: unknown, user: T | false, _info: unknown, context: ExecutionContext): T {
    if (user && !error) return user
    const { authorization } = context.switchToHttp().getRequest<Request>().headers
    throw authorization ? challenge(true, ', error="invalid_token"') : challenge(false)
  }
}
