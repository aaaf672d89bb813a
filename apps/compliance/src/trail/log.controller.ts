import { Controller, Get, Inject, Param, Res } from '@nestjs/common'
import { ApiTags } from '@nestjs/swagger'
import type { FastifyReply } from 'fastify'
import { parseTileNumber, TILE_WIDTH } from '#libs/audit'
import { Caller, type Principal, Public, Scopes } from '#libs/auth'
import { problems } from '#libs/platform'
import { COMPLIANCE, type Compliance } from '../compliance.js'

const IMMUTABLE = 'public, max-age=31536000, immutable'
const pruned = () =>
  problems.gone({ detail: 'These entries were dropped after their period: see /log/minimum-index' })
const missing = () => problems.notFound({ detail: 'The log has no such resource' })

/** Reads `<N>` or `<N>.p/<W>`; undefined for anything else. */
function parseTile(path: string): { n: number; width: number } | undefined {
  const match = /^([x\d/]+?)(?:\.p\/([1-9]\d{0,2}))?$/.exec(path)
  const n = parseTileNumber(match?.[1] ?? '')
  const width = match?.[2] === undefined ? TILE_WIDTH : Number(match[2])
  const isPartial = match?.[2] !== undefined
  return n === undefined || (isPartial && width >= TILE_WIDTH) ? undefined : { n, width }
}

/**
 * The log for monitors and verifiers (C2SP tlog-tiles). Checkpoints and hashes are public, because they hold
 * nothing of an entry; the entries are not.
 */
@ApiTags('log')
@Controller('log')
export class LogController {
  constructor(@Inject(COMPLIANCE) private readonly compliance: Compliance) {}

  @Public('a checkpoint is a signed hash; monitors compare what they were shown')
  @Get('checkpoint')
  async checkpoint(@Res() reply: FastifyReply): Promise<void> {
    const newest = await this.compliance.log.checkpoint()
    if (!newest) throw missing()
    reply.type('text/plain; charset=utf-8').header('cache-control', 'no-cache').send(newest.note)
  }

  @Public('public keys')
  @Get('keys')
  keys(@Res() reply: FastifyReply): void {
    reply.type('text/plain; charset=utf-8').send(this.compliance.log.keys.map((key) => `${key}\n`).join(''))
  }

  /** Lowest index whose entry is published; what lies below was dropped after its period (C2SP tlog-tiles, Pruning). */
  @Public('a number that every verifier of the log needs')
  @Get('minimum-index')
  async minimumIndex(@Res() reply: FastifyReply): Promise<void> {
    const minimum = await this.compliance.log.minimumIndex()
    reply.type('text/plain; charset=utf-8').header('cache-control', 'no-cache').send(`${minimum}\n`)
  }

  @Scopes('audit:read')
  @Get('tile/entries/*')
  async entries(
    @Param('*') path: string,
    @Caller() caller: Principal,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    if (caller.tenant !== this.compliance.operatorTenant)
      throw problems.forbidden({ detail: 'A bundle holds entries of every tenant: export your own instead' })
    const tile = parseTile(path)
    const bundle = tile && (await this.compliance.log.bundle(tile.n, tile.width))
    if (!bundle) throw tile && (await this.isPruned(tile.n)) ? pruned() : missing()
    reply.type('application/octet-stream').header('cache-control', 'private, max-age=3600').send(bundle)
  }

  @Public('hashes only: they say nothing of an entry')
  @Get('tile/:level/*')
  async tile(
    @Param('level') level: string,
    @Param('*') path: string,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const tile = /^[0-7]$/.test(level) ? parseTile(path) : undefined
    const hashes = tile && (await this.compliance.log.tile(Number(level), tile.n, tile.width))
    if (!hashes) throw missing()
    reply.type('application/octet-stream').header('cache-control', IMMUTABLE).send(hashes)
  }

  private async isPruned(n: number): Promise<boolean> {
    return (n + 1) * TILE_WIDTH <= (await this.compliance.log.minimumIndex())
  }
}
