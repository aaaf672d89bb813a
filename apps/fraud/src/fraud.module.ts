import { type DynamicModule, Module } from '@nestjs/common'
import { AuthModule, type TokenPolicy } from '#libs/auth'
import { LabelsController } from './labels/labels.controller.js'
import type { Desk } from './transactions/decide.js'
import { DESK, TransactionsController } from './transactions/transactions.controller.js'

/** The fraud service: payments in, decisions out. */
@Module({})
export class FraudModule {
  static with(desk: Desk, tokens: TokenPolicy): DynamicModule {
    return {
      module: FraudModule,
      imports: [AuthModule.with(tokens)],
      controllers: [TransactionsController, LabelsController],
      providers: [{ provide: DESK, useValue: desk }],
    }
  }
}
