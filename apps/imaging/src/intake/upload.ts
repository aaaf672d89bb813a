import type { MultipartFile } from '@fastify/multipart'
import type { FastifyRequest } from 'fastify'
import { invalidRequest, problems } from '#libs/platform'
import type { Blob, BlobStore } from '../storage/blob-store.js'
import { HEAD_LENGTH, mayBeDicom } from './head.js'
import { Submission } from './submission.js'

const IMAGE_TYPES = ['application/dicom', 'application/octet-stream']
const LIMITS = { fieldNameSize: 64, fieldSize: 1_024, fields: 8, files: 2, parts: 10, headerPairs: 16 }
/** Room for the form around the image. */
const FORM_BYTES = 64 * 1024

/** A complete form: its fields valid, its image on disk, encrypted. */
export interface Upload {
  submission: Submission
  image: Blob
}
/** The fields are valid, the image is not DICOM. */
export interface NoDicom {
  submission: Submission
  image: undefined
  bytes: number
}

interface Issue {
  path: string[]
  message: string
}

class NotDicom extends Error {}

/** Passes a stream on once its head may be DICOM; `count` sees every chunk. */
async function* inspected(source: AsyncIterable<Buffer>, count: (bytes: number) => void) {
  let head: Buffer | undefined = Buffer.alloc(0)
  for await (const chunk of source) {
    count(chunk.length)
    if (!head) {
      yield chunk
      continue
    }
    head = Buffer.concat([head, chunk])
    if (head.length < HEAD_LENGTH) continue
    if (!mayBeDicom(head)) throw new NotDicom()
    yield head
    head = undefined
  }
  if (!head) return
  if (!mayBeDicom(head)) throw new NotDicom()
  yield head
}

/** Reads one multipart form, part by part, never more than a segment of it in memory. */
class FormReader {
  private readonly fields: Record<string, string> = {}
  private readonly issues: Issue[] = []
  private readonly seen = new Set<string>()
  private image?: Blob
  private bytes = 0
  private noDicom = false

  constructor(
    private readonly store: BlobStore,
    private readonly tenant: string,
    private readonly maxBytes: number,
  ) {}

  async read(request: FastifyRequest): Promise<Upload | NoDicom> {
    try {
      const limits = { ...LIMITS, fileSize: this.maxBytes }
      for await (const part of request.parts({ limits })) {
        const repeated = this.seen.has(part.fieldname)
        this.seen.add(part.fieldname)
        if (repeated) this.refuse(part.fieldname, 'must come once')
        if (part.type === 'file') await this.readFile(part, repeated)
        else if (!repeated) this.readField(part.fieldname, part.value, part.valueTruncated)
      }
      return this.finish()
    } catch (error) {
      await this.discard()
      throw problemOf(error)
    }
  }

  private refuse(field: string, message: string): void {
    this.issues.push({ path: [field.slice(0, 64)], message })
  }

  private readField(name: string, value: unknown, truncated: boolean): void {
    if (name === 'image') this.refuse(name, 'must be a file')
    else if (truncated) this.refuse(name, 'is too long')
    else if (typeof value !== 'string') this.refuse(name, 'must be plain text')
    else this.fields[name] = value
  }

  private async readFile({ fieldname, file, mimetype }: MultipartFile, repeated: boolean): Promise<void> {
    const isImage = fieldname === 'image'
    const isOfType = IMAGE_TYPES.includes(mimetype)
    if (isImage && !repeated && isOfType) return this.keep(file)
    if (!isImage && !repeated) this.refuse(fieldname, 'must not be a file')
    // Read on, so that the sender hears why instead of a broken connection.
    for await (const _ of file);
    if (isImage && !isOfType)
      throw problems.unsupportedMediaType({
        detail: 'The image must be application/dicom',
        errors: [{ pointer: '/image', detail: 'must be application/dicom' }],
      })
  }

  private async keep(file: MultipartFile['file']): Promise<void> {
    const count = (bytes: number) => {
      this.bytes += bytes
    }
    // The source outlives a refusal: it is read to its end then, too.
    const source = { [Symbol.asyncIterator]: () => file.iterator({ destroyOnReturn: false }) }
    try {
      this.image = await this.store.write(this.tenant, 'original', inspected(source, count))
    } catch (error) {
      if (!(error instanceof NotDicom)) throw error
      this.noDicom = true
      for await (const chunk of source) count((chunk as Buffer).length)
    }
    if (file.truncated) throw tooLarge(this.maxBytes)
  }

  private finish(): Upload | NoDicom {
    const submission = Submission.safeParse(this.fields)
    const missing = this.seen.has('image') ? [] : [{ path: ['image'], message: 'is missing' }]
    const refused = new Set(this.issues.map(({ path }) => path[0]))
    const fieldIssues = (submission.error?.issues ?? []).filter(({ path }) => !refused.has(String(path[0])))
    const issues = [...this.issues, ...missing, ...fieldIssues]
    if (issues.length > 0 || !submission.success) throw invalidRequest(issues)
    return this.noDicom || !this.image
      ? { submission: submission.data, image: undefined, bytes: this.bytes }
      : { submission: submission.data, image: this.image }
  }

  private async discard(): Promise<void> {
    if (this.image) await this.store.remove(this.image)
  }
}

const tooLarge = (maxBytes: number) =>
  problems.tooLarge({
    detail: `The image is larger than ${maxBytes} bytes`,
    errors: [{ pointer: '/image', detail: `must be at most ${maxBytes} bytes` }],
  })

const MALFORMED = /multipart|boundary|part terminated|malformed|FST_MP_PREMATURE_CLOSE/i
const TOO_MANY = /^FST_(PARTS|FILES|FIELDS)_LIMIT$/

function problemOf(error: unknown): unknown {
  const { code = '', message = '' } = error as { code?: string; message?: string }
  const detail = TOO_MANY.test(code)
    ? 'The form has too many parts'
    : code === 'FST_PROTO_VIOLATION'
      ? 'A part has a name that is not allowed'
      : code === 'FST_INVALID_JSON_FIELD_ERROR'
        ? 'A field is not plain text'
        : error instanceof Error && error.name !== 'ProblemError' && MALFORMED.test(`${code} ${message}`)
          ? 'The form is not valid multipart/form-data'
          : undefined
  return detail ? problems.invalidRequest({ detail, errors: [{ pointer: '', detail }] }) : error
}

/**
 * Reads `image`, `patient_id`, `physician_id` and `modality` (RFC 7578) and stores the image encrypted while it comes
 * in. Rejects with a problem that names each wrong field; then nothing is kept.
 */
export async function readUpload(
  request: FastifyRequest,
  store: BlobStore,
  { tenant, maxBytes }: { tenant: string; maxBytes: number },
): Promise<Upload | NoDicom> {
  if (!request.isMultipart())
    throw problems.unsupportedMediaType({ detail: 'The body must be multipart/form-data' })
  if (Number(request.headers['content-length'] ?? 0) > maxBytes + FORM_BYTES) throw tooLarge(maxBytes)
  return new FormReader(store, tenant, maxBytes).read(request)
}
