import { Body, Controller, Get, HttpCode, Inject, Param, Post, Query, Res } from '@nestjs/common'
import { ApiOkResponse, ApiTags } from '@nestjs/swagger'
import type { FastifyReply } from 'fastify'
import { z } from 'zod'
import { Caller, type Principal, Scopes } from '#libs/auth'
import { problems } from '#libs/platform'
import { Decision } from './answer.js'
import { type Desk, decideTransaction } from './decide.js'
import {
  DecisionPage,
  DecisionQuery,
  findTransaction,
  listDecisions,
  type StoredTransaction,
} from './read.sql.js'
import { Identifier, Transaction, timeError } from './transaction.js'

/** Injection token of what deciding needs. */
export const DESK = Symbol('desk')

@ApiTags('payments')
@Controller('api/v1')
export class TransactionsController {
  constructor(@Inject(DESK) private readonly desk: Desk) {}

  @Post('transactions')
  @HttpCode(200)
  @Scopes('ai:inference')
  @ApiOkResponse({ standardSchema: Decision })
  async decide(
    @Body({ schema: Transaction }) transaction: z.infer<typeof Transaction>,
    @Caller() caller: Principal,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const detail = timeError(transaction, Date.now())
    if (detail)
      throw problems.invalidRequest({
        detail: 'Not valid: /timestamp',
        errors: [{ pointer: '/timestamp', detail }],
      })
    const { response, replayed } = await decideTransaction(this.desk, caller, transaction)
    if (replayed) reply.header('idempotent-replayed', 'true')
    reply.type('application/json; charset=utf-8').send(response)
  }

  @Get('transactions/:id')
  @Scopes('data:read')
  async get(@Param('id') id: string, @Caller() caller: Principal): Promise<StoredTransaction> {
    // No transaction has an id that is none: the database refuses such text with an error.
    const stored = Identifier.safeParse(id).success
      ? await findTransaction(this.desk.pool, caller.tenant, id)
      : undefined
    if (!stored) throw problems.notFound({ detail: 'There is no such transaction' })
    return stored
  }

  @Get('decisions')
  @Scopes('data:read')
  @ApiOkResponse({ standardSchema: DecisionPage })
  async list(
    @Query({ schema: DecisionQuery }) query: z.infer<typeof DecisionQuery>,
    @Caller() caller: Principal,
  ): Promise<DecisionPage> {
    const page = await listDecisions(this.desk.pool, caller.tenant, query)
    if (!page)
      throw problems.invalidRequest({
        detail: 'Not valid: /cursor',
        errors: [{ pointer: '/cursor', detail: 'Not a cursor of this list' }],
      })
    return page
  }
}
