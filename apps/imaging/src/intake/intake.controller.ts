import { Controller, HttpCode, Inject, Post, Req, Res } from '@nestjs/common'
import { ApiAcceptedResponse, ApiBody, ApiConsumes, ApiOkResponse } from '@nestjs/swagger'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Caller, type Principal, Scopes } from '#libs/auth'
import { type Correlation, newId, problems, withCorrelation } from '#libs/platform'
import { IMAGING, type Imaging } from '../imaging.js'
import { awaitOutcome } from '../results/outcome.js'
import { ImageView } from '../results/view.js'
import { MODALITIES } from './modalities.js'
import { preferredWait } from './prefer.js'
import { receiveImage, recordRejection } from './receive.js'
import { Receipt } from './submission.js'
import { readUpload } from './upload.js'
import { type Defect, verifyStored } from './verify.js'

const text = { type: 'string', minLength: 1, maxLength: 64 }
const FORM = {
  type: 'object',
  required: ['image', 'patient_id', 'physician_id', 'modality'] as string[],
  additionalProperties: false,
  properties: {
    image: { type: 'string', format: 'binary', description: 'A DICOM Part 10 file' },
    patient_id: text,
    physician_id: text,
    modality: { type: 'string', enum: [...MODALITIES] },
  },
}

const MESSAGES: Partial<Record<Defect, string>> = {
  not_dicom: 'is not a DICOM file',
  truncated: 'ends before it is complete',
  image_too_large: 'declares a picture that is too large',
  inflated_too_large: 'is too large when it is inflated',
}

function unsound(defect: Defect) {
  const detail = MESSAGES[defect] ?? `is not valid DICOM (${defect})`
  return problems.unprocessable({
    detail: `The image ${detail}`,
    errors: [{ pointer: '/image', detail }],
    extensions: { defect },
  })
}

/** The image's own random ID: the request's if we made that up, a new one where the caller chose it. */
function ownCorrelation(request: FastifyRequest): Correlation {
  const { correlation, headers } = request
  const isGiven = headers['x-correlation-id'] === correlation.correlationId
  return isGiven ? { ...correlation, correlationId: newId() } : correlation
}

@Controller('api/v1/images')
export class IntakeController {
  constructor(@Inject(IMAGING) private readonly imaging: Imaging) {}

  @Post()
  @HttpCode(202)
  @Scopes('ai:inference')
  @ApiConsumes('multipart/form-data')
  @ApiBody({ schema: FORM })
  @ApiAcceptedResponse({ standardSchema: Receipt })
  @ApiOkResponse({ standardSchema: ImageView, description: 'With `Prefer: wait=N`: done in N seconds' })
  async submit(
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
    @Caller() caller: Principal,
  ): Promise<Receipt | ImageView> {
    const correlation = ownCorrelation(request)
    await withCorrelation(correlation, () => this.takeIn(request, caller, correlation))
    const { correlationId } = correlation
    const seconds = preferredWait(request.headers.prefer)
    if (seconds !== undefined) {
      reply.header('preference-applied', `wait=${seconds}`)
      const outcome = await awaitOutcome(this.imaging.pool, correlationId, caller.tenant, seconds * 1_000)
      if (outcome) {
        reply.status(200)
        return outcome
      }
    }
    const statusUrl = `/api/v1/images/${correlationId}`
    reply.headers({ location: statusUrl, 'retry-after': '1' })
    return { correlation_id: correlationId, status: 'queued', status_url: statusUrl }
  }

  private async takeIn(request: FastifyRequest, caller: Principal, correlation: Correlation): Promise<void> {
    const { store, limits } = this.imaging
    const upload = await readUpload(request, store, { tenant: caller.tenant, maxBytes: limits.imageBytes })
    const { submission, image } = upload
    const arrival = { correlation, caller, submission }
    const defect = image ? await verifyStored(store, image, limits.imageBytes) : 'not_dicom'
    if (image && !defect) return receiveImage(this.imaging, arrival, image)
    if (image) await store.remove(image)
    const bytes = image ? image.bytes : upload.bytes
    await recordRejection(this.imaging, arrival, { defect: defect ?? 'not_dicom', bytes })
    throw unsound(defect ?? 'not_dicom')
  }
}
