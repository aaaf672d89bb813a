import { Body, Controller, Get, Header, HttpCode, Inject, Param, Post, Query } from '@nestjs/common'
import { ApiTags } from '@nestjs/swagger'
import { Caller, type Principal, Public, Scopes } from '#libs/auth'
import { COMPLIANCE, type Compliance } from '../compliance.js'
import { patientRefOf } from '../patient-ref.js'
import { readEntry, readSought } from '../trail/read.js'
import { type Resource, toAuditEvent } from './audit-event.js'
import { CAPABILITIES } from './capabilities.js'
import { AuditEventSearch, soughtEvents } from './search.js'

const FHIR = 'application/fhir+json; charset=utf-8'

/** The trail as FHIR R4 AuditEvents after IHE BALP. */
@ApiTags('fhir')
@Controller('fhir')
export class FhirController {
  constructor(@Inject(COMPLIANCE) private readonly compliance: Compliance) {}

  @Get('metadata')
  @Public('what a FHIR server can do is asked before anything else (FHIR R4 http.html#capabilities)')
  @Header('content-type', FHIR)
  metadata(): Resource {
    return CAPABILITIES
  }

  @Get('AuditEvent')
  @Scopes('audit:read')
  @Header('content-type', FHIR)
  search(
    @Query({ schema: AuditEventSearch }) search: AuditEventSearch,
    @Caller() caller: Principal,
  ): Promise<Resource> {
    return this.find(search, caller)
  }

  @Post('AuditEvent/_search')
  @HttpCode(200)
  @Scopes('audit:read')
  @Header('content-type', FHIR)
  searchByBody(
    @Body({ schema: AuditEventSearch }) search: AuditEventSearch,
    @Caller() caller: Principal,
  ): Promise<Resource> {
    return this.find(search, caller)
  }

  @Get('AuditEvent/:id')
  @Scopes('audit:read')
  @Header('content-type', FHIR)
  async read(@Param('id') id: string, @Caller() caller: Principal): Promise<Resource> {
    return toAuditEvent(await readEntry(this.compliance, caller, id, 'AUDIT_READ'))
  }

  private async find(search: AuditEventSearch, caller: Principal): Promise<Resource> {
    const { patient, _count: limit, _cursor: cursor } = search
    const { pool } = this.compliance
    const patientRef = patient && (await patientRefOf(pool, this.compliance, caller.tenant, patient))
    const page = await readSought(this.compliance, caller, soughtEvents(search, patientRef), {
      ...{ order: 'newest', count: true, limit, cursor },
    })
    const link = (relation: string, next?: string) => ({
      relation,
      url: urlOf({ ...search, patient: patientRef }, next),
    })
    return {
      resourceType: 'Bundle',
      type: 'searchset',
      ...(page.count?.relation === 'exact' ? { total: page.count.value } : {}),
      link: [link('self', cursor), ...(page.next_cursor ? [link('next', page.next_cursor)] : [])],
      entry: page.entries.map((entry) => ({
        fullUrl: `urn:uuid:${entry.id}`,
        resource: toAuditEvent(entry),
        search: { mode: 'match' },
      })),
    }
  }
}

/** The search as a relative URL; the patient in it is the keyed hash. */
function urlOf({ _cursor: _before, date, ...search }: AuditEventSearch, cursor: string | undefined): string {
  const given = Object.entries(search).filter(([, value]) => value !== undefined)
  const parameters = new URLSearchParams(
    given.map(([name, value]): [string, string] => [name, String(value)]),
  )
  for (const one of [date ?? []].flat()) parameters.append('date', one)
  if (cursor) parameters.set('_cursor', cursor)
  return `AuditEvent?${parameters}`
}
