import { createHmac, timingSafeEqual } from 'node:crypto'
import { Body, Controller, Get, Inject, Param, Post, Req, Res } from '@nestjs/common'
import { ApiExcludeController } from '@nestjs/swagger'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Interaction } from 'oidc-provider'
import { z } from 'zod'
import { Public } from '#libs/auth'
import { problems } from '#libs/platform'
import { COMPLIANCE, type Compliance } from '../compliance.js'
import { recordConsent } from './consent.js'
import {
  codePage,
  consentPage,
  enrolPage,
  expiredPage,
  pagePolicy,
  passwordPage,
  recoveryPage,
} from './pages.js'
import { RESOURCE } from './resource.js'
import { enrolment } from './second-factor.js'
import type { Outcome, Step } from './sign-in.js'

/** What is too long is wrong like any other: it counts as nothing, which never matches. */
const short = (max: number) => z.string().max(max).optional().catch('')

const Fields = z.object({
  csrf: z.string().max(128),
  email: short(254),
  password: short(256),
  enrol: short(8),
  code: short(64),
  answer: z.enum(['allow', 'deny']).optional(),
})
type Fields = z.infer<typeof Fields>

interface Turn {
  interaction: Interaction
  request: FastifyRequest
  reply: FastifyReply
}

/** The pages of signing in and of consent. Public: this is where people prove who they are. */
@ApiExcludeController()
@Public('people prove who they are here')
@Controller('auth/interaction')
export class InteractionController {
  constructor(@Inject(COMPLIANCE) private readonly compliance: Compliance) {}

  @Get(':uid')
  async show(@Param('uid') uid: string, @Req() request: FastifyRequest, @Res() reply: FastifyReply) {
    const interaction = await this.interactionOf(uid, request, reply)
    if (!interaction) return this.page(reply, 400, expiredPage())
    const turn = { interaction, request, reply }
    if (interaction.prompt.name === 'consent') return this.askConsent(turn)
    return this.ask(turn, await this.compliance.identity.signIn.step(uid))
  }

  @Post(':uid')
  async answer(
    @Param('uid') uid: string,
    @Body() body: unknown,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ) {
    const interaction = await this.interactionOf(uid, request, reply)
    if (!interaction) return this.page(reply, 400, expiredPage())
    const fields = Fields.safeParse(body ?? {})
    if (!fields.success || !this.isOurs(uid, fields.data.csrf, request))
      throw problems.forbidden({ detail: 'The form did not come from this page' })
    const turn = { interaction, request, reply }
    if (interaction.prompt.name === 'consent') return this.consent(turn, fields.data.answer)
    const step = await this.compliance.identity.signIn.step(uid)
    return this.respond(turn, step, await this.decide(turn, step, fields.data), fields.data.email)
  }

  /** The interaction of the signed cookie, where it is the one of the address. */
  private async interactionOf(uid: string, request: FastifyRequest, reply: FastifyReply) {
    const provider = await this.compliance.identity.provider()
    try {
      const interaction = await provider.interactionDetails(request.raw, reply.raw)
      return interaction.uid === uid ? interaction : undefined
    } catch (error) {
      // Its class is not imported: the library is loaded when it is first needed.
      if ((error as Error).name === 'SessionNotFound') return undefined
      throw error
    }
  }

  private csrf(uid: string): string {
    return createHmac('sha256', this.compliance.identity.cookieKey).update(`csrf ${uid}`).digest('base64url')
  }

  private isOurs(uid: string, given: string, request: FastifyRequest): boolean {
    const site = request.headers['sec-fetch-site']
    if (site !== undefined && site !== 'same-origin') return false
    const [ours, theirs] = [Buffer.from(this.csrf(uid)), Buffer.from(given)]
    return ours.length === theirs.length && timingSafeEqual(ours, theirs)
  }

  private decide({ interaction, request }: Turn, step: Step | undefined, fields: Fields): Promise<Outcome> {
    const { signIn } = this.compliance.identity
    const { email = '', password = '', enrol, code = '' } = fields
    if (!step)
      return signIn.password(interaction.uid, { email, password, enrol: enrol === 'yes' }, request.ip)
    if (step.at === 'code') return signIn.code(interaction.uid, step, code, request.ip)
    if (step.at === 'enrol') return signIn.enrol(interaction.uid, step, code)
    return signIn.recovered(interaction.uid, step, request.ip)
  }

  private async respond(turn: Turn, step: Step | undefined, outcome: Outcome, email?: string) {
    if (outcome.is === 'refused') return this.ask(turn, step, { refused: true, email })
    if (outcome.is === 'next') return this.ask(turn, outcome.step, { codes: outcome.recoveryCodes })
    const { interaction } = turn
    await this.endOther(interaction, outcome.personId)
    interaction.result = { login: { accountId: outcome.personId, amr: outcome.factors, remember: false } }
    return this.leave(turn)
  }

  /** Somebody else sits at the machine now: whose session it was is out. */
  private async endOther(interaction: Interaction, personId: string): Promise<void> {
    const before = interaction.session
    if (!before || before.accountId === personId) return
    const provider = await this.compliance.identity.provider()
    await (await provider.Session.find(before.cookie))?.destroy()
    Object.assign(interaction, { session: undefined })
  }

  private async ask(
    turn: Turn,
    step: Step | undefined,
    { refused, email, codes }: { refused?: boolean; email?: string; codes?: string[] } = {},
  ) {
    const { interaction, reply } = turn
    const csrf = this.csrf(interaction.uid)
    const status = refused ? 403 : 200
    const targets = this.targets(interaction)
    if (!step) {
      const enrolment = this.compliance.identity.secondFactor === 'required' ? 'required' : 'offered'
      const application = await this.applicationOf(interaction)
      return this.page(reply, status, passwordPage({ csrf, refused, email, application, enrolment }), targets)
    }
    if (step.at === 'code') return this.page(reply, status, codePage({ csrf, refused }), targets)
    if (step.at === 'recovery')
      return this.page(reply, status, recoveryPage({ csrf, codes: codes ?? [] }), targets)
    const keys = enrolment(Buffer.from(step.secret, 'hex'), step.email)
    return this.page(reply, status, enrolPage({ csrf, refused, ...keys }), targets)
  }

  private async askConsent({ interaction, reply }: Turn) {
    const details = interaction.prompt.details as {
      missingOIDCScope?: string[]
      missingResourceScopes?: Record<string, string[]>
    }
    const scopes = [...(details.missingOIDCScope ?? []), ...(details.missingResourceScopes?.[RESOURCE] ?? [])]
    const asked = scopes.length > 0 ? scopes : await this.allowedBefore(interaction)
    const content = consentPage({
      csrf: this.csrf(interaction.uid),
      application: await this.applicationOf(interaction),
      scopes: asked.filter(Boolean),
    })
    return this.page(reply, 200, content, this.targets(interaction))
  }

  /** What a native application, which has to ask each time, gets again: not all that it would like to have. */
  private async allowedBefore({ grantId, params }: Interaction): Promise<string[]> {
    const provider = await this.compliance.identity.provider()
    const grant = grantId ? await provider.Grant.find(grantId) : undefined
    const allowed = `${grant?.getOIDCScope() ?? ''} ${grant?.getResourceScope(RESOURCE) ?? ''}`.split(' ')
    return String(params.scope ?? '')
      .split(' ')
      .filter((scope) => allowed.includes(scope))
  }

  private async consent(turn: Turn, answer: Fields['answer']) {
    const { interaction } = turn
    const provider = await this.compliance.identity.provider()
    const grantId = await recordConsent(this.compliance.pool, provider, interaction, answer === 'allow')
    interaction.result = grantId
      ? { ...interaction.lastSubmission, consent: { grantId } }
      : { error: 'access_denied', error_description: 'The person denied the request' }
    return this.leave(turn)
  }

  private async leave({ interaction, reply }: Turn) {
    await interaction.save(interaction.exp - Math.floor(Date.now() / 1000))
    return reply.redirect(interaction.returnTo, 303)
  }

  private async applicationOf({ params }: Interaction): Promise<string> {
    const provider = await this.compliance.identity.provider()
    const client = await provider.Client.find(String(params.client_id))
    return client?.clientName ?? String(params.client_id)
  }

  /** Where the last redirect of a submitted form may lead: the application's own origin. */
  private targets({ params }: Interaction): string[] {
    const uri = String(params.redirect_uri ?? '')
    const { origin, protocol } = URL.canParse(uri) ? new URL(uri) : { origin: 'null', protocol: '' }
    return origin !== 'null' ? [origin] : protocol ? [protocol] : []
  }

  private page(reply: FastifyReply, status: number, content: string, targets: string[] = []): FastifyReply {
    return reply
      .status(status)
      .header('content-security-policy', pagePolicy(targets))
      .header('cache-control', 'no-store')
      .type('text/html; charset=utf-8')
      .send(content)
  }
}
