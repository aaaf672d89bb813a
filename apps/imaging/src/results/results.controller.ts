import { Controller, Get, Headers, Inject, Param, StreamableFile } from '@nestjs/common'
import { ApiHeader, ApiOkResponse, ApiProduces } from '@nestjs/swagger'
import { PURPOSES_OF_USE, requirePurpose } from '#libs/audit'
import { Caller, type Principal, Scopes } from '#libs/auth'
import { isUuid, problems } from '#libs/platform'
import { IMAGING, type Imaging } from '../imaging.js'
import { handOn } from '../storage/damage.js'
import { findBlob, findImage } from '../storage/images.sql.js'
import { findView } from './outcome.js'
import { Patient, revealPatient } from './patient.js'
import { ImageView } from './view.js'

/** One answer for an image that is not there, is another tenant's, or never could be. */
const missing = () => problems.notFound({ detail: 'There is no such image' })

@Controller('api/v1/images/:id')
export class ResultsController {
  constructor(@Inject(IMAGING) private readonly imaging: Imaging) {}

  @Get()
  @Scopes('data:read')
  @ApiOkResponse({ standardSchema: ImageView })
  async find(@Param('id') id: string, @Caller() caller: Principal): Promise<ImageView> {
    const view = isUuid(id) ? await findView(this.imaging.pool, id, caller.tenant) : undefined
    if (!view) throw missing()
    return view
  }

  @Get('patient')
  @Scopes('phi:reidentify')
  @ApiHeader({ name: 'Purpose-Of-Use', required: true, enum: [...PURPOSES_OF_USE] })
  @ApiOkResponse({ standardSchema: Patient })
  async patient(
    @Param('id') id: string,
    @Headers('purpose-of-use') header: string | undefined,
    @Caller() caller: Principal,
  ): Promise<Patient> {
    const purpose = requirePurpose(header)
    if (!isUuid(id)) throw missing()
    const patient = await revealPatient(this.imaging, { caller, correlationId: id, purpose })
    if (!patient) throw missing()
    return patient
  }

  @Get('deidentified')
  @Scopes('data:read')
  @ApiProduces('application/dicom')
  @ApiOkResponse({ schema: { type: 'string', format: 'binary' } })
  async deidentified(@Param('id') id: string, @Caller() caller: Principal): Promise<StreamableFile> {
    const { pool, store } = this.imaging
    const image = isUuid(id) ? await findImage(pool, id, caller.tenant) : undefined
    const blob = image?.deidentified ? await findBlob(pool, image.deidentified, caller.tenant) : undefined
    if (!blob) throw missing()
    const reader = { tenant: caller.tenant, actor: caller.actor(), correlationId: id }
    return new StreamableFile(await handOn(this.imaging, reader, store.read(blob)), {
      type: 'application/dicom',
      disposition: `attachment; filename="${id}.dcm"`,
      length: blob.bytes,
    })
  }
}
