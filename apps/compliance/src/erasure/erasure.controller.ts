import { Body, Controller, Get, Inject, Param, Post, Res } from '@nestjs/common'
import { ApiAcceptedResponse, ApiOkResponse, ApiTags } from '@nestjs/swagger'
import type { FastifyReply } from 'fastify'
import type { PoolClient } from 'pg'
import { appendAudit } from '#libs/audit'
import { Caller, type Principal, Scopes } from '#libs/auth'
import { subjectRef } from '#libs/crypto'
import { correlation, inTransaction, problems } from '#libs/platform'
import { Approval } from '../approvals/approval.js'
import { openApproval } from '../approvals/approvals.sql.js'
import { approvalView, askForApproval } from '../approvals/ask.js'
import { COMPLIANCE, type Compliance } from '../compliance.js'
import { findSubject, type Subject } from './erase.js'
import { Erasure, ErasureRequest } from './erasure.js'

const missing = () => problems.notFound({ detail: 'Nothing is stored of such a patient' })
/** A patient's keyed hash, as the trail shows it. */
const KEYED_HASH = /^\d+:[A-Za-z0-9_-]{22}$/
const LONGEST_ID = 128

/** Erasing a patient: one person asks, another agrees (`/api/v1/approvals`), a legal hold stops it. */
@ApiTags('erasure')
@Scopes('phi:erase')
@Controller('api/v1/patients/:id/erasure')
export class ErasureController {
  constructor(@Inject(COMPLIANCE) private readonly compliance: Compliance) {}

  /** Asks for the erasure; 200 with the result where the patient is erased already. */
  @Post()
  @ApiAcceptedResponse({ standardSchema: Approval })
  @ApiOkResponse({ standardSchema: Erasure })
  async request(
    @Param('id') id: string,
    @Body({ schema: ErasureRequest }) { reason }: ErasureRequest,
    @Caller() caller: Principal,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Approval | Erasure> {
    return inTransaction(this.compliance.pool, async (client) => {
      const subject = await this.find(client, id, caller)
      reply.status(subject.live > 0 ? 202 : 200)
      if (subject.live === 0) return this.view(client, caller, subject)
      const { patientRef } = subject
      await this.refuseHeld(client, caller, patientRef)
      const asked = { kind: 'patient.erasure' as const, subject: patientRef, patientRef, reason }
      const approval = await askForApproval(client, this.compliance, caller, asked)
      reply.header('location', `/api/v1/approvals/${approval.id}`)
      return approval
    })
  }

  @Get()
  @ApiOkResponse({ standardSchema: Erasure })
  async get(@Param('id') id: string, @Caller() caller: Principal): Promise<Erasure> {
    return inTransaction(this.compliance.pool, async (client) => {
      const subject = await this.find(client, id, caller)
      await appendAudit(client, {
        tenant: caller.tenant,
        service: 'compliance',
        actor: caller.actor(),
        action: 'ERASURE_READ',
        outcome: 'success',
        patientRef: subject.patientRef,
        correlationId: correlation().correlationId,
      })
      return this.view(client, caller, subject)
    })
  }

  /** By the patient's own identifier, or by its keyed hash where a URL might be logged on its way. */
  private async find(client: PoolClient, id: string, { tenant }: Principal): Promise<Subject> {
    if (id.length > LONGEST_ID) throw missing()
    const indexed = { column: 'patient', tenant, value: id }
    const hashed = await subjectRef(client, this.compliance.patientIndex, indexed)
    const refs = KEYED_HASH.test(id) ? [id, hashed] : [hashed]
    const subject = await findSubject(client, tenant, refs)
    if (!subject) throw missing()
    return subject
  }

  /** Tells whoever asks, before a second person is troubled; the database looks again when it destroys. */
  private async refuseHeld(client: PoolClient, { tenant }: Principal, patientRef: string): Promise<void> {
    const { rowCount } = await client.query('SELECT FROM holds.on_patient($1, $2)', [tenant, patientRef])
    if (rowCount) throw problems.conflict({ detail: 'A legal hold stands in the way: nothing was done' })
  }

  private async view(client: PoolClient, caller: Principal, subject: Subject): Promise<Erasure> {
    const { patientRef: patient_ref, live, destroyedAt } = subject
    if (live === 0) return { patient_ref, status: 'erased', erased_at: destroyedAt!.toISOString() }
    const waiting = await openApproval(client, caller.tenant, 'patient.erasure', patient_ref)
    if (!waiting) return { patient_ref, status: 'none' }
    return { patient_ref, status: 'waiting', approval: await approvalView(client, this.compliance, waiting) }
  }
}
