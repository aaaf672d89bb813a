import { Readable } from 'node:stream'
import { Controller, HttpCode, Inject, type OnModuleDestroy, Post, Req, Res } from '@nestjs/common'
import { ApiConsumes, ApiOkResponse, ApiProduces, ApiTags } from '@nestjs/swagger'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Caller, type Principal, paceOf, Scopes } from '#libs/auth'
import { problems } from '#libs/platform'
import { type Desk, decideTransaction } from '../transactions/decide.js'
import { DESK } from '../transactions/transactions.controller.js'
import { LINE_LIMIT, type LineCounts, lineDecider } from './decide-line.js'
import { inOrder } from './in-order.js'
import { linesOf } from './lines.js'

export const NDJSON = 'application/x-ndjson'

/** Lines under way at once: enough to fill the engine's transactions, and all that a batch keeps in memory. */
const WINDOW = 256

const STOPPED = problems.unavailable({
  detail: 'The service is stopping: send the lines without an answer again',
})
const STOPPED_LINE = `${JSON.stringify(STOPPED.toDetails('about:blank'))}\n`

@ApiTags('payments')
@Controller('api/v1/transactions/batch')
export class BatchController implements OnModuleDestroy {
  private readonly stopping = new AbortController()

  constructor(@Inject(DESK) private readonly desk: Desk) {}

  /** Streams under way read no further line once the service stops. */
  onModuleDestroy(): void {
    this.stopping.abort()
  }

  /**
   * Decides a stream of payments, one JSON object a line, and answers one decision or problem a line in the same order
   * while the stream goes on. Payments of one account are decided in the order of their lines. After a cut, send the
   * lines without an answer again, or all of them: what is decided already is answered from the record
   * (`"idempotent_replayed":true`).
   */
  @Post()
  @HttpCode(200)
  @Scopes('ai:inference')
  @ApiConsumes(NDJSON)
  @ApiProduces(NDJSON)
  @ApiOkResponse({ description: 'A decision or a problem (RFC 9457, with `line`) for each line', schema: {} })
  decide(@Req() request: FastifyRequest, @Caller() caller: Principal, @Res() reply: FastifyReply): void {
    if (!(request.body instanceof Readable)) throw problems.unsupportedMediaType({ detail: `Send ${NDJSON}` })
    void reply
      .type(NDJSON)
      .send(Readable.from(this.answers(request.body, caller, paceOf(request)), { objectMode: false }))
  }

  private answers(
    body: Readable,
    caller: Principal,
    pace: ReturnType<typeof paceOf>,
  ): AsyncGenerator<string> {
    const { signal } = this.stopping
    const counts: LineCounts = { decided: 0, replayed: 0, refused: 0 }
    const decide = lineDecider(
      async (payment) => {
        await pace(signal)
        return decideTransaction(this.desk, caller, payment)
      },
      counts,
      () => signal.aborted,
      (err) => this.desk.logger.error({ err }, 'a line of a batch could not be decided'),
    )
    return this.concluded(inOrder(linesOf(body, LINE_LIMIT), decide, WINDOW, signal), counts)
  }

  private async *concluded(answers: AsyncGenerator<string>, counts: LineCounts): AsyncGenerator<string> {
    try {
      yield* answers
      if (this.stopping.signal.aborted) yield STOPPED_LINE
    } finally {
      this.desk.logger.info(counts, 'batch ended')
    }
  }
}
