import { Readable } from 'node:stream'
import { Body, Controller, Delete, Get, HttpCode, Inject, Param, Post, Query, Res } from '@nestjs/common'
import { ApiAcceptedResponse, ApiNoContentResponse, ApiOkResponse, ApiTags } from '@nestjs/swagger'
import type { FastifyReply } from 'fastify'
import { Caller, type Principal, Scopes } from '#libs/auth'
import { inTransaction, isUuid, problems } from '#libs/platform'
import { COMPLIANCE, type Compliance } from '../compliance.js'
import { decodePosition, pageOf } from '../page.js'
import { Export, ExportPage, ExportPageQuery, type FileName, mediaTypeOf, NewExport } from './export.js'
import { askForExport, deleteExport, openFile } from './exports.js'
import { findExport, listExports } from './exports.sql.js'
import { exportView } from './view.js'

const missing = () => problems.notFound({ detail: 'There is no such export' })

/** Exports of the trail, each with the proofs that it is what the log holds. */
@ApiTags('audit')
@Scopes('audit:read')
@Controller('api/v1/audit/exports')
export class ExportsController {
  constructor(@Inject(COMPLIANCE) private readonly compliance: Compliance) {}

  @Post()
  @HttpCode(202)
  @ApiAcceptedResponse({ standardSchema: Export })
  async create(
    @Body({ schema: NewExport }) wanted: NewExport,
    @Caller() caller: Principal,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Export> {
    const made = await askForExport(this.compliance, caller, wanted)
    reply.headers({ location: made.status_url, 'retry-after': '1' })
    return made
  }

  @Get()
  @ApiOkResponse({ standardSchema: ExportPage })
  async list(
    @Query({ schema: ExportPageQuery }) { cursor, limit }: ExportPageQuery,
    @Caller() caller: Principal,
  ): Promise<ExportPage> {
    const after = decodePosition(cursor)
    return inTransaction(this.compliance.pool, async (client) => {
      const rows = await listExports(client, caller.tenant, limit, after)
      const { page, next_cursor } = pageOf(rows, limit, (row) => ({ at: row.created_at, id: row.id }))
      const views: Export[] = []
      for (const row of page) views.push(await exportView(client, row))
      return { exports: views, next_cursor }
    })
  }

  @Get(':id')
  @ApiOkResponse({ standardSchema: Export })
  async get(@Param('id') id: string, @Caller() caller: Principal): Promise<Export> {
    if (!isUuid(id)) throw missing()
    return inTransaction(this.compliance.pool, async (client) => {
      const row = await findExport(client, caller.tenant, id)
      if (!row) throw missing()
      return exportView(client, row)
    })
  }

  @Get(':id/content')
  @ApiOkResponse({ description: 'The export', schema: { type: 'string', format: 'binary' } })
  content(@Param('id') id: string, @Caller() caller: Principal, @Res() reply: FastifyReply): Promise<void> {
    return this.send(id, 'content', caller, reply)
  }

  /** Checkpoint, entries and proofs beside a CSV or FHIR file; an NDJSON export holds its own. */
  @Get(':id/proofs')
  @ApiOkResponse({ description: 'The proofs', schema: { type: 'string', format: 'binary' } })
  proofs(@Param('id') id: string, @Caller() caller: Principal, @Res() reply: FastifyReply): Promise<void> {
    return this.send(id, 'proofs', caller, reply)
  }

  /** Takes an export away before it expires. */
  @Delete(':id')
  @HttpCode(204)
  @ApiNoContentResponse()
  async remove(@Param('id') id: string, @Caller() caller: Principal): Promise<void> {
    if (!isUuid(id) || !(await deleteExport(this.compliance, caller, id))) throw missing()
  }

  private async send(id: string, file: FileName, caller: Principal, reply: FastifyReply): Promise<void> {
    if (!isUuid(id)) throw missing()
    const opened = await openFile(this.compliance, caller, id, file)
    if (!opened) throw missing()
    const { row, whole, bytes } = opened
    const extension = mediaTypeOf(row.format, file) === 'application/x-ndjson' ? 'ndjson' : row.format
    reply
      .type(mediaTypeOf(row.format, file))
      .headers({
        'content-length': whole.bytes,
        'content-disposition': `attachment; filename="audit-${id}${file === 'proofs' ? '-proofs' : ''}.${extension === 'fhir' ? 'json' : extension}"`,
        // RFC 9530
        'repr-digest': `sha-256=:${whole.sha256.toString('base64')}:`,
      })
      .send(Readable.from(bytes))
  }
}
