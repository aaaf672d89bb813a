import { Controller, Get, HttpCode, Inject, Param, Post, Query } from '@nestjs/common'
import { ApiOkResponse, ApiTags } from '@nestjs/swagger'
import { Caller, type Principal, Scopes } from '#libs/auth'
import { inTransaction, isUuid, problems } from '#libs/platform'
import { COMPLIANCE, type Compliance } from '../compliance.js'
import { decodePosition, pageOf } from '../page.js'
import { Approval, ApprovalPage, ApprovalQuery } from './approval.js'
import { findApproval, listApprovals, type Verdict } from './approvals.sql.js'
import { approvalView } from './ask.js'
import { decide } from './decide.js'

const missing = () => problems.notFound({ detail: 'There is no such approval' })

/** What waits for a second person. */
@ApiTags('approvals')
@Scopes('approvals:decide')
@Controller('api/v1/approvals')
export class ApprovalsController {
  constructor(@Inject(COMPLIANCE) private readonly compliance: Compliance) {}

  @Get()
  @ApiOkResponse({ standardSchema: ApprovalPage })
  async list(
    @Query({ schema: ApprovalQuery }) query: ApprovalQuery,
    @Caller() caller: Principal,
  ): Promise<ApprovalPage> {
    const after = decodePosition(query.cursor)
    return inTransaction(this.compliance.pool, async (client) => {
      const rows = await listApprovals(client, caller.tenant, query, after)
      const { page, next_cursor } = pageOf(rows, query.limit, (row) => ({ at: row.requested_at, id: row.id }))
      const approvals: Approval[] = []
      for (const row of page) approvals.push(await approvalView(client, this.compliance, row))
      return { approvals, next_cursor }
    })
  }

  @Get(':id')
  @ApiOkResponse({ standardSchema: Approval })
  async get(@Param('id') id: string, @Caller() caller: Principal): Promise<Approval> {
    if (!isUuid(id)) throw missing()
    return inTransaction(this.compliance.pool, async (client) => {
      const row = await findApproval(client, caller.tenant, id)
      if (!row) throw missing()
      return approvalView(client, this.compliance, row)
    })
  }

  /** Agrees to a request of somebody else; what was asked for is done before this answers. */
  @Post(':id/approval')
  @HttpCode(200)
  @ApiOkResponse({ standardSchema: Approval })
  approve(@Param('id') id: string, @Caller() caller: Principal): Promise<Approval> {
    return this.decide(id, caller, 'approved')
  }

  /** Turns a request down, or takes one's own back. */
  @Post(':id/rejection')
  @HttpCode(200)
  @ApiOkResponse({ standardSchema: Approval })
  reject(@Param('id') id: string, @Caller() caller: Principal): Promise<Approval> {
    return this.decide(id, caller, 'rejected')
  }

  private async decide(id: string, caller: Principal, verdict: Verdict): Promise<Approval> {
    if (!isUuid(id)) throw missing()
    return decide(this.compliance, caller, id, verdict)
  }
}
