import { Body, Controller, Get, Headers, HttpCode, Inject, Param, Post, Query, Res } from '@nestjs/common'
import { ApiHeader, ApiOkResponse, ApiTags } from '@nestjs/swagger'
import type { FastifyReply } from 'fastify'
import { z } from 'zod'
import { PURPOSES_OF_USE, requirePurpose } from '#libs/audit'
import { Caller, type Principal, Scopes } from '#libs/auth'
import { inTransaction, problems } from '#libs/platform'
import { COMPLIANCE, type Compliance } from '../compliance.js'
import { TrailEntry, TrailPage } from './entry.js'
import { OpenedDetails, openEntry } from './open.js'
import { EntryQuery } from './query.js'
import { readEntry, readPage, recordReading } from './read.js'

const size = z.coerce.number().int().min(1).max(Number.MAX_SAFE_INTEGER)
const SizeRange = z.strictObject({ from: size, to: size })

/** The audit trail for compliance officers. Whoever looks leaves an entry, written before anything is shown. */
@ApiTags('audit')
@Scopes('audit:read')
@Controller('api/v1/audit')
export class TrailController {
  constructor(@Inject(COMPLIANCE) private readonly compliance: Compliance) {}

  @Get('entries')
  @ApiOkResponse({ standardSchema: TrailPage })
  list(@Query({ schema: EntryQuery }) query: EntryQuery, @Caller() caller: Principal): Promise<TrailPage> {
    return readPage(this.compliance, caller, query)
  }

  /** The same in a body: a patient's identifier then stands in no URL, and in nobody's proxy log. */
  @Post('entries/search')
  @HttpCode(200)
  @ApiOkResponse({ standardSchema: TrailPage })
  search(@Body({ schema: EntryQuery }) query: EntryQuery, @Caller() caller: Principal): Promise<TrailPage> {
    return readPage(this.compliance, caller, query)
  }

  @Get('entries/:id')
  @ApiOkResponse({ standardSchema: TrailEntry })
  get(@Param('id') id: string, @Caller() caller: Principal): Promise<TrailEntry> {
    return readEntry(this.compliance, caller, id, 'AUDIT_READ')
  }

  /** What identifies a person in an entry; for a purpose, and recorded before it is shown. */
  @Get('entries/:id/sealed')
  @Scopes('audit:read', 'phi:reidentify')
  @ApiHeader({ name: 'Purpose-Of-Use', required: true, enum: [...PURPOSES_OF_USE] })
  @ApiOkResponse({ standardSchema: OpenedDetails })
  open(
    @Param('id') id: string,
    @Headers('purpose-of-use') header: string | undefined,
    @Caller() caller: Principal,
  ): Promise<OpenedDetails> {
    return openEntry(this.compliance, caller, id, requirePurpose(header))
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
    const { log_index } = await readEntry(this.compliance, caller, id, 'AUDIT_PROVED')
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
    @Query({ schema: SizeRange }) range: z.infer<typeof SizeRange>,
    @Caller() caller: Principal,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const { pool, log } = this.compliance
    const proof = await log.consistency(range.from, range.to)
    if (!proof) throw problems.notFound({ detail: 'The log has no trees of these sizes' })
    await inTransaction(pool, (client) => recordReading(client, caller, 'AUDIT_PROVED', { sizes: range }))
    reply.type('text/plain; charset=utf-8').send(proof.map((hash) => `${hash.toString('base64')}\n`).join(''))
  }
}
