import { KeyObject } from 'node:crypto'
import { readFileSync } from 'node:fs'
import {
  Body,
  Controller,
  type DynamicModule,
  Get,
  HttpCode,
  Injectable,
  Module,
  Post,
  Req,
  UseGuards,
} from '@nestjs/common'
import { AuthGuard, PassportModule, PassportStrategy } from '@nestjs/passport'
import { TypeOrmModule } from '@nestjs/typeorm'
import { createRemoteJWKSet, decodeProtectedHeader } from 'jose'
import { InferenceSession } from 'onnxruntime-node'
import { ExtractJwt, Strategy } from 'passport-jwt'
import { DecisionsService, SESSION } from './decisions.service.js'
import { entities } from './entities.js'
import { PaymentBody } from './schema.js'

export interface BaselineConfig {
  databaseUrl: string
  issuer: string
  audience: string
  jwksUrl: string
  synchronize: boolean
}

@Injectable()
class JwtStrategy extends PassportStrategy(Strategy, 'jwt') {
  constructor({ issuer, audience, jwksUrl }: BaselineConfig) {
    const keys = createRemoteJWKSet(new URL(jwksUrl))
    super({
      jwtFromRequest: ExtractJwt.fromAuthHeaderAsBearerToken(),
      secretOrKeyProvider: ((
        _request: unknown,
        token: string,
        done: (error: unknown, key?: unknown) => void,
      ) => {
        keys(decodeProtectedHeader(token) as never, { payload: '', signature: '' }).then(
          (key) => done(null, KeyObject.from(key as never)),
          done,
        )
      }) as never,
      algorithms: ['ES256'],
      issuer,
      audience,
    })
  }

  validate(claims: { client_id: string }) {
    return { clientId: claims.client_id }
  }
}

@Controller()
class DecisionsController {
  constructor(private readonly decisions: DecisionsService) {}

  @Post('api/v1/transactions')
  @HttpCode(200)
  @UseGuards(AuthGuard('jwt'))
  decide(@Body({ schema: PaymentBody }) body: PaymentBody, @Req() request: { user: { clientId: string } }) {
    return this.decisions.decide(body, request.user.clientId)
  }

  @Get('ready')
  ready() {
    return { status: 'ready' }
  }
}

const CARD = 'models/fraud-gbdt/v1/card.json'
const ARTIFACT = 'models/fraud-gbdt/v1/model.onnx'

async function loadModel() {
  const { features, reference } = JSON.parse(readFileSync(CARD, 'utf8'))
  const session = await InferenceSession.create(ARTIFACT, { intraOpNumThreads: 1, interOpNumThreads: 1 })
  return { session, features, reference }
}

/** The yardstick of `npm run bench:fraud`: the contract's main route, with the framework's usual means. */
@Module({})
export class BaselineModule {
  static with(config: BaselineConfig): DynamicModule {
    return {
      module: BaselineModule,
      imports: [
        PassportModule,
        TypeOrmModule.forRoot({
          type: 'postgres',
          url: config.databaseUrl,
          entities,
          synchronize: config.synchronize,
          poolSize: 16,
        }),
      ],
      controllers: [DecisionsController],
      providers: [
        DecisionsService,
        { provide: JwtStrategy, useFactory: () => new JwtStrategy(config) },
        { provide: SESSION, useFactory: loadModel },
      ],
    }
  }
}
