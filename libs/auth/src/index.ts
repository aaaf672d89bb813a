export { AuthModule } from './auth.module.js'
export { Caller, Public, Scopes } from './decorators.js'
export type { TokenPolicy } from './jwt.strategy.js'
export { authorize, type Principal } from './principal.js'
