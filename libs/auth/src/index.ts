export { AuthModule } from './auth.module.js'
export { Caller, Public, Scopes } from './decorators.js'
export type { TokenPolicy } from './jwt.strategy.js'
export { type Actor, authorize, Principal } from './principal.js'
