import { Body, Controller, Get, Headers, HttpCode, Inject, Param, Post, Query } from '@nestjs/common'
import { ApiCreatedResponse, ApiHeader, ApiNoContentResponse, ApiOkResponse, ApiTags } from '@nestjs/swagger'
import { PURPOSES_OF_USE, requirePurpose } from '#libs/audit'
import { Caller, type Principal, Scopes } from '#libs/auth'
import { isUuid, problems } from '#libs/platform'
import { IMAGING, type Imaging } from '../imaging.js'
import { Patient } from '../results/patient.js'
import { breakGlass, lookThrough } from './break.js'
import { Breaking, GrantDetail, GrantPage, QueueQuery, Receipt, Review } from './grant.js'
import { examine, type Judgement, review, reviewQueue } from './review.js'

const PURPOSE = { name: 'Purpose-Of-Use', required: true, enum: [...PURPOSES_OF_USE] }

const missingImage = () => problems.notFound({ detail: 'There is no such image' })
const missing = () => problems.notFound({ detail: 'There is no such grant' })

const REFUSALS: Record<Exclude<Judgement, 'reviewed'>, () => Error> = {
  missing,
  own: () => problems.forbidden({ detail: 'Somebody else must review what you did' }),
  already: () => problems.conflict({ detail: 'The grant has been reviewed' }),
}

/** Emergency access to who an image is of, for those who have no right to it otherwise; and its review. */
@ApiTags('break-glass')
@Controller('api/v1')
export class BreakGlassController {
  constructor(@Inject(IMAGING) private readonly imaging: Imaging) {}

  @Post('images/:id/break-glass')
  @Scopes('phi:break-glass')
  @ApiHeader(PURPOSE)
  @ApiCreatedResponse({ standardSchema: Receipt })
  async break(
    @Param('id') id: string,
    @Headers('purpose-of-use') header: string | undefined,
    @Body({ schema: Breaking }) breaking: Breaking,
    @Caller() caller: Principal,
  ): Promise<Receipt> {
    const purpose = requirePurpose(header)
    const receipt = isUuid(id)
      ? await breakGlass(this.imaging, { caller, correlationId: id, purpose, breaking })
      : undefined
    if (!receipt) throw missingImage()
    return receipt
  }

  @Get('break-glass/:id/patient')
  @Scopes('phi:break-glass')
  @ApiHeader(PURPOSE)
  @ApiOkResponse({ standardSchema: Patient })
  async patient(
    @Param('id') id: string,
    @Headers('purpose-of-use') header: string | undefined,
    @Caller() caller: Principal,
  ): Promise<Patient> {
    const purpose = requirePurpose(header)
    if (!isUuid(id)) throw missing()
    const look = await lookThrough(this.imaging, { caller, grantId: id, purpose })
    if (look.state === 'shown') return look.patient
    throw look.state === 'ended' ? problems.forbidden({ detail: 'The time of the grant is over' }) : missing()
  }

  @Get('break-glass')
  @Scopes('break-glass:review')
  @ApiOkResponse({ standardSchema: GrantPage })
  list(@Query({ schema: QueueQuery }) query: QueueQuery, @Caller() caller: Principal): Promise<GrantPage> {
    return reviewQueue(this.imaging, caller, query)
  }

  @Get('break-glass/:id')
  @Scopes('break-glass:review')
  @ApiHeader(PURPOSE)
  @ApiOkResponse({ standardSchema: GrantDetail })
  async get(
    @Param('id') id: string,
    @Headers('purpose-of-use') header: string | undefined,
    @Caller() caller: Principal,
  ): Promise<GrantDetail> {
    requirePurpose(header)
    const detail = isUuid(id) ? await examine(this.imaging, caller, id) : undefined
    if (!detail) throw missing()
    return detail
  }

  @Post('break-glass/:id/review')
  @HttpCode(204)
  @Scopes('break-glass:review')
  @ApiNoContentResponse()
  async review(
    @Param('id') id: string,
    @Body({ schema: Review }) judgement: Review,
    @Caller() caller: Principal,
  ): Promise<void> {
    if (!isUuid(id)) throw missing()
    const result = await review(this.imaging, caller, id, judgement)
    if (result !== 'reviewed') throw REFUSALS[result]()
  }
}
