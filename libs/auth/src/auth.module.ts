import { type DynamicModule, Module } from '@nestjs/common'
import { APP_GUARD } from '@nestjs/core'
import { PassportModule } from '@nestjs/passport'
import { AccessGuard, CREDENTIALS } from './access.guard.js'
import { DOOR, type Door, DoorGuard } from './door/door.guard.js'
import { JwtStrategy } from './jwt.strategy.js'
import { credentialsFor, issuersOf, type TokenPolicy } from './token-policy.js'

/** Closes every route of a service but those that declare who may call them. */
@Module({})
export class AuthModule {
  static with(policy: TokenPolicy, door: Door = {}): DynamicModule {
    return {
      module: AuthModule,
      imports: [PassportModule.register({ session: false })],
      providers: [
        { provide: JwtStrategy, useFactory: () => new JwtStrategy(issuersOf(policy)) },
        { provide: CREDENTIALS, useFactory: () => credentialsFor(policy) },
        AccessGuard,
        { provide: DOOR, useValue: door },
        { provide: APP_GUARD, useClass: DoorGuard },
      ],
    }
  }
}
