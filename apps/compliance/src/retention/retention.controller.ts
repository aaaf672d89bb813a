import { Body, Controller, Get, HttpCode, Inject, Post, Res } from '@nestjs/common'
import { ApiAcceptedResponse, ApiOkResponse, ApiTags } from '@nestjs/swagger'
import type { FastifyReply } from 'fastify'
import { Caller, type Principal, Scopes } from '#libs/auth'
import { inTransaction, problems } from '#libs/platform'
import { Approval } from '../approvals/approval.js'
import { askForApproval } from '../approvals/ask.js'
import { COMPLIANCE, type Compliance } from '../compliance.js'
import { NewDrop, OBSTACLES, Retention } from './retention.js'
import { factsOf, obstacleTo, readRetention, takeTime } from './retention.sql.js'

/** How long entries are kept, and dropping those that are past it: for the operator, as a month is of all tenants. */
@ApiTags('retention')
@Controller('api/v1/audit/retention')
export class RetentionController {
  constructor(@Inject(COMPLIANCE) private readonly compliance: Compliance) {}

  @Get()
  @Scopes('audit:read')
  @ApiOkResponse({ standardSchema: Retention })
  async get(@Caller() caller: Principal): Promise<Retention> {
    this.refuseTenants(caller)
    return inTransaction(this.compliance.pool, readRetention)
  }

  /** Asks for a month to be dropped; it stays until another person agrees. */
  @Post('drops')
  @HttpCode(202)
  @Scopes('retention:write')
  @ApiAcceptedResponse({ standardSchema: Approval })
  async drop(
    @Body({ schema: NewDrop }) { partition, reason }: NewDrop,
    @Caller() caller: Principal,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Approval> {
    this.refuseTenants(caller)
    const approval = await inTransaction(this.compliance.pool, async (client) => {
      await takeTime(client)
      const obstacle = await obstacleTo(client, partition)
      if (obstacle === 'missing') throw problems.notFound({ detail: OBSTACLES.missing })
      if (obstacle) throw problems.conflict({ detail: OBSTACLES[obstacle], extensions: { obstacle } })
      const parameters = await factsOf(client, partition)
      return askForApproval(client, this.compliance, caller, {
        ...{ kind: 'retention.drop', subject: partition, parameters, reason },
      })
    })
    reply.header('location', `/api/v1/approvals/${approval.id}`)
    return approval
  }

  private refuseTenants({ tenant }: Principal): void {
    if (tenant !== this.compliance.operatorTenant)
      throw problems.forbidden({ detail: 'A month of the trail is of all tenants: its operator decides' })
  }
}
