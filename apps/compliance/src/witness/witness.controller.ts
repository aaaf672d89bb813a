import { Controller, Get, HttpCode, Inject, Post, Req, Res } from '@nestjs/common'
import { ApiBody, ApiConsumes, ApiTags } from '@nestjs/swagger'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { problems } from '#libs/platform'
import { WITNESS, type Witness } from './witness.js'

const refusals = {
  400: problems.invalidRequest,
  403: problems.forbidden,
  404: problems.notFound,
  422: problems.unprocessable,
} as const

/** C2SP tlog-witness. Whoever asks is known by the signature on the checkpoint alone. */
@ApiTags('witness')
@Controller()
export class WitnessController {
  constructor(@Inject(WITNESS) private readonly witness: Witness) {}

  /** `old SIZE`, consistency proof, blank line, signed checkpoint -> signature line of the witness. */
  @Post('add-checkpoint')
  @HttpCode(200)
  @ApiConsumes('text/plain')
  @ApiBody({ schema: { type: 'string' } })
  addCheckpoint(@Req() request: FastifyRequest, @Res() reply: FastifyReply): void {
    const answer = this.witness.addCheckpoint(typeof request.body === 'string' ? request.body : '')
    if (answer.status === 200) {
      reply.type('text/plain; charset=utf-8').send(answer.line)
    } else if (answer.status === 409) {
      reply
        .status(409)
        .header('content-type', 'text/x.tlog.size')
        .send(Buffer.from(`${answer.size}\n`))
    } else throw refusals[answer.status]({ detail: `Not cosigned: ${answer.reason}` })
  }

  /** Verification key of this witness. */
  @Get('key')
  key(@Res() reply: FastifyReply): void {
    reply.type('text/plain; charset=utf-8').send(`${this.witness.vkey}\n`)
  }
}
