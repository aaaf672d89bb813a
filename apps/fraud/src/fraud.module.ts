import { type DynamicModule, Module } from '@nestjs/common'
import { AuthModule, type Door, type TokenPolicy } from '#libs/auth'
import type { ModelArchive } from '#libs/inference'
import { BatchController } from './batch/batch.controller.js'
import { LabelsController } from './labels/labels.controller.js'
import { MODELS, ReplayController } from './replay/replay.controller.js'
import type { Desk } from './transactions/decide.js'
import { DESK, TransactionsController } from './transactions/transactions.controller.js'

/** The fraud service: payments in, decisions out. */
@Module({})
export class FraudModule {
  static with(desk: Desk, models: ModelArchive, tokens: TokenPolicy, door: Door): DynamicModule {
    return {
      module: FraudModule,
      imports: [AuthModule.with(tokens, door)],
      controllers: [TransactionsController, BatchController, ReplayController, LabelsController],
      providers: [
        { provide: DESK, useValue: desk },
        { provide: MODELS, useValue: models },
      ],
    }
  }
}
