import { Body, Controller, HttpCode, Inject, Post } from '@nestjs/common'
import { ApiTags } from '@nestjs/swagger'
import { z } from 'zod'
import { appendAudit } from '#libs/audit'
import { Caller, type Principal, Scopes } from '#libs/auth'
import { correlation, inTransaction, problems } from '#libs/platform'
import type { Desk } from '../transactions/decide.js'
import { Identifier, Instant } from '../transactions/transaction.js'
import { DESK } from '../transactions/transactions.controller.js'
import { addLabels, findPayments } from './label.sql.js'

/** What turned out to be true of a payment. */
export const Label = z
  .strictObject({
    transaction_id: Identifier,
    label: z.enum(['fraud', 'legitimate']),
    source: z.enum(['chargeback', 'analyst', 'customer']),
    labelled_at: Instant.optional(),
  })
  .meta({ id: 'Label' })

const notValid = (detail: string) =>
  problems.invalidRequest({
    detail: 'Not valid: /labelled_at',
    errors: [{ pointer: '/labelled_at', detail }],
  })

@ApiTags('labels')
@Scopes('fraud:review')
@Controller('api/v1/labels')
export class LabelsController {
  constructor(@Inject(DESK) private readonly desk: Desk) {}

  /** Adds a label; earlier ones stay, so that what was known at any time can be told. */
  @Post()
  @HttpCode(201)
  async add(@Body({ schema: Label }) label: z.infer<typeof Label>, @Caller() caller: Principal) {
    const at = new Date(label.labelled_at ?? Date.now())
    if (at.getTime() > Date.now() + 60_000) throw notValid('must not be in the future')
    await inTransaction(this.desk.pool, async (client) => {
      const payments = await findPayments(client, caller.tenant, [label.transaction_id])
      if (!payments[0]) throw problems.notFound({ detail: 'There is no such transaction' })
      // A clock that runs ahead may date a payment after its label; further apart it is a mistake.
      if (at.getTime() + 5 * 60_000 < payments[0].eventTs.getTime())
        throw notValid('must not be before the payment')
      const { transaction_id: transactionId, source } = label
      const added = { transactionId, label: label.label, source, labelledAt: at.toISOString() }
      await addLabels(client, caller.tenant, payments, new Map([[transactionId, added]]))
      await appendAudit(client, {
        tenant: caller.tenant,
        service: 'fraud',
        actor: caller.actor(),
        action: 'TRANSACTION_LABELLED',
        outcome: 'success',
        subject: { type: 'transaction', id: transactionId },
        correlationId: correlation().correlationId,
        details: { label: label.label, source },
      })
    })
    return { ...label, labelled_at: at.toISOString() }
  }
}
