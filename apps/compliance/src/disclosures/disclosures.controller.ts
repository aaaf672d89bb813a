import { Body, Controller, Get, Headers, Inject, Param, Post, Query } from '@nestjs/common'
import { ApiCreatedResponse, ApiHeader, ApiOkResponse, ApiTags } from '@nestjs/swagger'
import { PURPOSES_OF_USE, requirePurpose } from '#libs/audit'
import { Caller, type Principal, Scopes } from '#libs/auth'
import { problems } from '#libs/platform'
import { COMPLIANCE, type Compliance } from '../compliance.js'
import { account, recordDisclosure } from './account.js'
import { Accounting, AccountingQuery, NewDisclosure, RecordedDisclosure } from './disclosure.js'

const LONGEST_ID = 128
const tooLong = () => problems.notFound({ detail: 'No patient has an identifier of this length' })

/** Accounting of disclosures (45 CFR 164.528). `id`: the patient's own identifier, or the keyed hash that the trail shows. */
@ApiTags('disclosures')
@Controller('api/v1/patients/:id/disclosures')
export class DisclosuresController {
  constructor(@Inject(COMPLIANCE) private readonly compliance: Compliance) {}

  /** To whom the patient was disclosed; with `Purpose-Of-Use` (scope phi:reidentify), sealed recipients are opened. */
  @Get()
  @Scopes('audit:read')
  @ApiHeader({ name: 'Purpose-Of-Use', required: false, enum: [...PURPOSES_OF_USE] })
  @ApiOkResponse({ standardSchema: Accounting })
  async report(
    @Param('id') id: string,
    @Query({ schema: AccountingQuery }) query: AccountingQuery,
    @Headers('purpose-of-use') header: string | undefined,
    @Caller() caller: Principal,
  ): Promise<Accounting> {
    if (id.length > LONGEST_ID) throw tooLong()
    const purpose = header === undefined ? undefined : requirePurpose(header)
    if (purpose && !caller.scopes.includes('phi:reidentify'))
      throw problems.forbidden({ detail: 'The token lacks the scope phi:reidentify, which opens recipients' })
    return account(this.compliance, caller, id, query, purpose)
  }

  /** Records a disclosure made outside of Vigil. */
  @Post()
  @Scopes('phi:reidentify')
  @ApiHeader({ name: 'Purpose-Of-Use', required: true, enum: [...PURPOSES_OF_USE] })
  @ApiCreatedResponse({ standardSchema: RecordedDisclosure })
  async record(
    @Param('id') id: string,
    @Body({ schema: NewDisclosure }) disclosure: NewDisclosure,
    @Headers('purpose-of-use') header: string | undefined,
    @Caller() caller: Principal,
  ): Promise<RecordedDisclosure> {
    if (id.length > LONGEST_ID) throw tooLong()
    return recordDisclosure(this.compliance, caller, id, disclosure, requirePurpose(header))
  }
}
