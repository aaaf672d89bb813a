import { Controller, Get, Inject, Param } from '@nestjs/common'
import { ApiOkResponse, ApiTags } from '@nestjs/swagger'
import { appendAudit } from '#libs/audit'
import { Caller, type Principal, Scopes } from '#libs/auth'
import type { ModelArchive } from '#libs/inference'
import { correlation, inTransaction, problems } from '#libs/platform'
import type { Desk } from '../transactions/decide.js'
import { findTransaction } from '../transactions/read.sql.js'
import { Identifier } from '../transactions/transaction.js'
import { DESK } from '../transactions/transactions.controller.js'
import { Replay, replay, type StoredDecision } from './replay.js'

/** Injection token of the models that there are. */
export const MODELS = Symbol('models')

const DIGEST = `SELECT d.model_digest FROM fraud.transaction_id i JOIN fraud.decision d ON d.tenant = i.tenant
    AND d.decided_at = i.received_at AND d.transaction_id = i.transaction_id
  WHERE i.tenant = $1 AND i.transaction_id = $2`

@ApiTags('payments')
@Controller('api/v1/transactions/:id/replay')
export class ReplayController {
  constructor(
    @Inject(DESK) private readonly desk: Desk,
    @Inject(MODELS) private readonly models: ModelArchive,
  ) {}

  /** Makes a decision again from what was stored of it, and says whether it is the same to the last bit. */
  @Get()
  @Scopes('data:read')
  @ApiOkResponse({ standardSchema: Replay })
  async get(@Param('id') id: string, @Caller() caller: Principal): Promise<Replay> {
    const stored = Identifier.safeParse(id).success ? await this.find(caller.tenant, id) : undefined
    if (!stored) throw problems.notFound({ detail: 'There is no decision of such a transaction' })
    const { policy } = this.desk
    const replayed = await replay(stored, {
      model: (reference) => this.models.find(reference),
      policy: (version) => (version === policy.version ? policy : undefined),
    })
    await this.record(caller, replayed)
    return replayed
  }

  private async find(tenant: string, id: string): Promise<StoredDecision | undefined> {
    const { pool } = this.desk
    const found = await findTransaction(pool, tenant, id)
    if (!found?.decision) return undefined
    const { rows } = await pool.query<{ model_digest: string | null }>(DIGEST, [tenant, id])
    return { answer: found.decision, modelDigest: rows[0]?.model_digest ?? null }
  }

  private record(
    caller: Principal,
    { transaction_id, decision_id, bit_equal, obstacle }: Replay,
  ): Promise<unknown> {
    return inTransaction(this.desk.pool, (client) =>
      appendAudit(client, {
        tenant: caller.tenant,
        service: 'fraud',
        actor: caller.actor(),
        action: 'DECISION_REPLAYED',
        outcome: 'success',
        subject: { type: 'transaction', id: transaction_id },
        correlationId: correlation().correlationId,
        details: { decision_id, bit_equal, ...(obstacle ? { obstacle: obstacle.code } : {}) },
      }),
    )
  }
}
