import { applyDecorators, createParamDecorator, type ExecutionContext, SetMetadata } from '@nestjs/common'
import { ApiExtension } from '@nestjs/swagger'
import type { Principal } from './principal.js'

export const REQUIRED_SCOPES = 'vigil:scopes'
export const PUBLIC = 'vigil:public'

/** The scopes that a caller of this route must hold, all of them. */
export const Scopes = (first: string, ...more: string[]) =>
  applyDecorators(SetMetadata(REQUIRED_SCOPES, [first, ...more]), ApiExtension('x-scopes', [first, ...more]))

/** The route needs no token, and why that is right: the reason stands in the OpenAPI document. */
export const Public = (reason: string) =>
  applyDecorators(SetMetadata(PUBLIC, true), ApiExtension('x-public', reason))

/** The verified caller, as a parameter of a route. */
export const Caller = createParamDecorator((_: unknown, context: ExecutionContext): Principal => {
  const { user } = context.switchToHttp().getRequest<{ user?: Principal }>()
  if (!user) throw new Error('@Caller() on a route without @Scopes()')
  return user
})
