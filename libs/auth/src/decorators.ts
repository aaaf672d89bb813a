import { createParamDecorator, type ExecutionContext, SetMetadata } from '@nestjs/common'
import type { Principal } from './principal.js'

export const REQUIRED_SCOPES = 'vigil:scopes'
export const PUBLIC = 'vigil:public'

/** The scopes that a caller of this route must hold, all of them. */
export const Scopes = (first: string, ...more: string[]) => SetMetadata(REQUIRED_SCOPES, [first, ...more])

/** The route needs no token. Say why where it is used. */
export const Public = () => SetMetadata(PUBLIC, true)

/** The verified caller, as a parameter of a route. */
export const Caller = createParamDecorator((_: unknown, context: ExecutionContext): Principal => {
  const { user } = context.switchToHttp().getRequest<{ user?: Principal }>()
  if (!user) throw new Error('@Caller() on a route without @Scopes()')
  return user
})
