import { Controller, Get, Inject, Param, Query, Res } from '@nestjs/common'
import { ApiOkResponse, ApiTags } from '@nestjs/swagger'
import type { FastifyReply } from 'fastify'
import type pg from 'pg'
import { z } from 'zod'
import { appendAudit } from '#libs/audit'
import { Caller, type Principal, Scopes } from '#libs/auth'
import { blindIndex } from '#libs/crypto'
import { correlation, inTransaction, problems } from '#libs/platform'
import { actorOf } from '../actor.js'
import { COMPLIANCE, type Compliance } from '../compliance.js'
import { decodePosition, pageOf } from '../page.js'
import { type EntryRow, TrailEntry, TrailPage, toTrailEntry } from './entry.js'
import { EntryQuery, entriesStatement, entryStatement } from './query.js'

const Id = z.uuid()
const size = z.coerce.number().int().min(1).max(Number.MAX_SAFE_INTEGER)
const SizeRange = z.strictObject({ from: size, to: size })

const missing = () => problems.notFound({ detail: 'There is no such entry' })

/** The audit trail for compliance officers. Whoever looks leaves an entry, written before anything is shown. */
@ApiTags('audit')
@Scopes('audit:read')
@Controller('api/v1/audit')
export class TrailController {
  constructor(@Inject(COMPLIANCE) private readonly compliance: Compliance) {}

  @Get('entries')
  @ApiOkResponse({ standardSchema: TrailPage })
  async list(
    @Query({ schema: EntryQuery }) query: EntryQuery,
    @Caller() caller: Principal,
  ): Promise<TrailPage> {
    const after = decodePosition(query.cursor)
    const patientRef =
      query.patient && blindIndex(this.compliance.patientIndexKey, 'patient', caller.tenant, query.patient)
    return inTransaction(this.compliance.pool, async (client) => {
      const { rows } = await client.query<EntryRow>(entriesStatement(caller.tenant, query, patientRef, after))
      const { page, next_cursor } = pageOf(rows, query.limit, (row) => ({ at: row.recorded_at, id: row.id }))
      const { patient: _never, cursor: _position, ...filters } = query
      await this.recordReading(client, caller, { filters, results: page.length }, patientRef)
      return { entries: page.map(toTrailEntry), next_cursor }
    })
  }

  @Get('entries/:id')
  @ApiOkResponse({ standardSchema: TrailEntry })
  async get(@Param('id') id: string, @Caller() caller: Principal): Promise<TrailEntry> {
    return this.read(id, caller, 'entry')
  }

  /** C2SP tlog-proof: index, audit path and the signed checkpoint, for anybody's verifier. */
  @Get('entries/:id/proof')
  @ApiOkResponse({
    description: 'C2SP tlog-proof',
    content: { 'text/plain': { schema: { type: 'string' } } },
  })
  async prove(
    @Param('id') id: string,
    @Caller() caller: Principal,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const { log_index } = await this.read(id, caller, 'proof')
    const proof = log_index === null ? undefined : await this.compliance.log.proof(log_index)
    if (!proof) {
      throw problems.conflict({
        detail: 'The entry is recorded but not in the tree yet: try again in a second',
        headers: { 'retry-after': '1' },
      })
    }
    reply.type('text/plain; charset=utf-8').send(proof)
  }

  /** Proof that the log of `from` entries is the beginning of that of `to`: one base64 hash a line. */
  @Get('consistency')
  async consistency(
    @Query({ schema: SizeRange }) { from, to }: z.infer<typeof SizeRange>,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const proof = await this.compliance.log.consistency(from, to)
    if (!proof) throw problems.notFound({ detail: 'The log has no trees of these sizes' })
    reply.type('text/plain; charset=utf-8').send(proof.map((hash) => `${hash.toString('base64')}\n`).join(''))
  }

  private async read(id: string, caller: Principal, what: string): Promise<TrailEntry> {
    if (!Id.safeParse(id).success) throw missing()
    return inTransaction(this.compliance.pool, async (client) => {
      const { rows } = await client.query<EntryRow>(entryStatement(caller.tenant, id))
      if (!rows[0]) throw missing()
      await this.recordReading(client, caller, { [what]: id })
      return toTrailEntry(rows[0])
    })
  }

  private recordReading(
    client: pg.ClientBase,
    caller: Principal,
    details: Record<string, z.core.util.JSONType>,
    patientRef?: string,
  ): Promise<string> {
    return appendAudit(client, {
      tenant: caller.tenant,
      service: 'compliance',
      actor: actorOf(caller),
      action: 'AUDIT_READ',
      outcome: 'success',
      correlationId: correlation().correlationId,
      ...(patientRef ? { patientRef } : {}),
      details,
    })
  }
}
