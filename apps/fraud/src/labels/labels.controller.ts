import { Body, Controller, HttpCode, Inject, Post } from '@nestjs/common'
import { ApiTags } from '@nestjs/swagger'
import { z } from 'zod'
import { appendAudit } from '#libs/audit'
import { Caller, type Principal, Scopes } from '#libs/auth'
import { correlation, inTransaction, problems } from '#libs/platform'
import type { Desk } from '../transactions/decide.js'
import { Identifier, Instant } from '../transactions/transaction.js'
import { DESK } from '../transactions/transactions.controller.js'

/** What turned out to be true of a payment. */
export const Label = z
  .strictObject({
    transaction_id: Identifier,
    label: z.enum(['fraud', 'legitimate']),
    source: z.enum(['chargeback', 'analyst', 'customer']),
    labelled_at: Instant.optional(),
  })
  .meta({ id: 'Label' })

@ApiTags('labels')
@Scopes('fraud:review')
@Controller('api/v1/labels')
export class LabelsController {
  constructor(@Inject(DESK) private readonly desk: Desk) {}

  /** Adds a label; earlier ones stay, so that what was known at any time can be told. */
  @Post()
  @HttpCode(201)
  async add(@Body({ schema: Label }) label: z.infer<typeof Label>, @Caller() caller: Principal) {
    const at = label.labelled_at ?? new Date().toISOString()
    if (Date.parse(at) > Date.now() + 60_000) {
      throw problems.invalidRequest({
        detail: 'Not valid: /labelled_at',
        errors: [{ pointer: '/labelled_at', detail: 'must not be in the future' }],
      })
    }
    const labelledAt = await inTransaction(this.desk.pool, async (client) => {
      const { rows } = await client.query<{ labelled_at: Date }>(
        `INSERT INTO fraud.label (tenant, transaction_id, label, source, labelled_at, merchant_id, cell, event_ts)
         SELECT tenant, transaction_id, $3, $4, $5, merchant_id, cell, event_ts FROM fraud.transaction
         WHERE tenant = $1 AND transaction_id = $2 RETURNING labelled_at`,
        [caller.tenant, label.transaction_id, label.label, label.source, at],
      )
      if (!rows[0]) throw problems.notFound({ detail: 'There is no such transaction' })
      await appendAudit(client, {
        tenant: caller.tenant,
        service: 'fraud',
        actor: { type: 'client', id: caller.clientId },
        action: 'TRANSACTION_LABELLED',
        outcome: 'success',
        subject: { type: 'transaction', id: label.transaction_id },
        correlationId: correlation().correlationId,
        details: { label: label.label, source: label.source },
      })
      return rows[0].labelled_at
    })
    return { ...label, labelled_at: labelledAt.toISOString() }
  }
}
