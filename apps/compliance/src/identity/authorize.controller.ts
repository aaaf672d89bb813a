import { Body, Controller, Get, Inject, Post, Req, Res } from '@nestjs/common'
import { ApiExcludeController } from '@nestjs/swagger'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { Public } from '#libs/auth'
import { COMPLIANCE, type Compliance } from '../compliance.js'
import { ask, pass } from './ask.js'
import { pagePolicy, withoutScript } from './pages.js'

const LogoutForm = z.object({ xsrf: z.string().max(128), logout: z.string().max(8).optional() })

/** Where applications send people to sign in and out. Public: nobody has a token before. */
@ApiExcludeController()
@Public('people prove who they are here')
@Controller('auth')
export class AuthorizeController {
  constructor(@Inject(COMPLIANCE) private readonly compliance: Compliance) {}

  @Get('authorize')
  authorize(@Req() request: FastifyRequest, @Res() reply: FastifyReply) {
    return this.hand(request, reply)
  }

  @Get('authorize/:uid')
  resume(@Req() request: FastifyRequest, @Res() reply: FastifyReply) {
    return this.hand(request, reply)
  }

  @Get('logout')
  logout(@Req() request: FastifyRequest, @Res() reply: FastifyReply) {
    return this.hand(request, reply)
  }

  @Post('logout/confirm')
  confirm(
    @Body({ schema: LogoutForm }) { xsrf, logout }: z.infer<typeof LogoutForm>,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ) {
    return this.hand(request, reply, { xsrf, ...(logout ? { logout } : {}) })
  }

  @Get('logout/success')
  success(@Req() request: FastifyRequest, @Res() reply: FastifyReply) {
    return this.hand(request, reply)
  }

  private async hand(request: FastifyRequest, reply: FastifyReply, form?: Record<string, string>) {
    const answer = await ask(await this.compliance.identity.provider(), request, {
      method: form ? 'POST' : 'GET',
      url: request.url,
      accept: 'text/html',
      ...(form ? { form } : {}),
    })
    const { content, target } = withoutScript(answer.body)
    reply.header('content-security-policy', pagePolicy(target ? [target] : []))
    return pass(reply, { ...answer, body: content })
  }
}
