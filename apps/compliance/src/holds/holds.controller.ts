import { Body, Controller, Get, HttpCode, Inject, Param, Post, Query, Res } from '@nestjs/common'
import { ApiAcceptedResponse, ApiCreatedResponse, ApiOkResponse, ApiTags } from '@nestjs/swagger'
import type { FastifyReply } from 'fastify'
import { Caller, type Principal, Scopes } from '#libs/auth'
import { inTransaction, isUuid, problems } from '#libs/platform'
import { Approval } from '../approvals/approval.js'
import { askForApproval } from '../approvals/ask.js'
import { COMPLIANCE, type Compliance } from '../compliance.js'
import { decodePosition, pageOf } from '../page.js'
import { Hold, HoldPage, HoldQuery, HoldRelease, NewHold } from './hold.js'
import { findHold, listHolds } from './holds.sql.js'
import { holdView, placeHold } from './place.js'

const missing = () => problems.notFound({ detail: 'There is no such legal hold' })

/** Legal holds: what must not be destroyed, whatever its period says. */
@ApiTags('legal holds')
@Scopes('holds:write')
@Controller('api/v1/legal-holds')
export class HoldsController {
  constructor(@Inject(COMPLIANCE) private readonly compliance: Compliance) {}

  @Post()
  @ApiCreatedResponse({ standardSchema: Hold })
  async place(
    @Body({ schema: NewHold }) wanted: NewHold,
    @Caller() caller: Principal,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Hold> {
    const hold = await inTransaction(this.compliance.pool, (client) =>
      placeHold(client, this.compliance, caller, wanted),
    )
    reply.header('location', `/api/v1/legal-holds/${hold.id}`)
    return hold
  }

  @Get()
  @ApiOkResponse({ standardSchema: HoldPage })
  async list(@Query({ schema: HoldQuery }) query: HoldQuery, @Caller() caller: Principal): Promise<HoldPage> {
    const after = decodePosition(query.cursor)
    return inTransaction(this.compliance.pool, async (client) => {
      const rows = await listHolds(client, caller.tenant, query, after)
      const { page, next_cursor } = pageOf(rows, query.limit, (row) => ({ at: row.placed_at, id: row.id }))
      const holds: Hold[] = []
      for (const row of page) holds.push(await holdView(client, this.compliance, row))
      return { holds, next_cursor }
    })
  }

  @Get(':id')
  @ApiOkResponse({ standardSchema: Hold })
  async get(@Param('id') id: string, @Caller() caller: Principal): Promise<Hold> {
    if (!isUuid(id)) throw missing()
    return inTransaction(this.compliance.pool, async (client) => {
      const row = await findHold(client, caller.tenant, id)
      if (!row) throw missing()
      return holdView(client, this.compliance, row)
    })
  }

  /** Asks for the release of a hold; it stands until another person agrees. */
  @Post(':id/release')
  @HttpCode(202)
  @ApiAcceptedResponse({ standardSchema: Approval })
  async release(
    @Param('id') id: string,
    @Body({ schema: HoldRelease }) { reason }: HoldRelease,
    @Caller() caller: Principal,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Approval> {
    if (!isUuid(id)) throw missing()
    const approval = await inTransaction(this.compliance.pool, async (client) => {
      const hold = await findHold(client, caller.tenant, id)
      if (!hold) throw missing()
      if (hold.released_at) throw problems.conflict({ detail: 'The hold is released already' })
      return askForApproval(client, this.compliance, caller, {
        kind: 'legal-hold.release',
        subject: id,
        ...(hold.patient_ref ? { patientRef: hold.patient_ref } : {}),
        reason,
      })
    })
    reply.header('location', `/api/v1/approvals/${approval.id}`)
    return approval
  }
}
