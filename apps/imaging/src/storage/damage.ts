import { Readable } from 'node:stream'
import { type AuditEntry, appendAudit } from '#libs/audit'
import { NotAuthenticError } from '#libs/crypto'
import { inTransaction } from '#libs/platform'
import type { Imaging } from '../imaging.js'

interface Reader {
  tenant: string
  actor: AuditEntry['actor']
  /** The image that the file is of. */
  correlationId: string
}

const record = (imaging: Imaging, { tenant, actor, correlationId }: Reader) =>
  inTransaction(imaging.pool, (client) =>
    appendAudit(client, {
      ...{ tenant, actor, correlationId },
      service: 'imaging',
      action: 'IMAGE_DAMAGED',
      outcome: 'failure',
      subject: { type: 'image', id: correlationId },
      details: { failure: 'ciphertext_not_authentic' },
    }),
  )

async function* noticing(imaging: Imaging, reader: Reader, file: AsyncIterable<Buffer>) {
  try {
    yield* file
  } catch (error) {
    if (error instanceof NotAuthenticError) await record(imaging, reader)
    throw error
  }
}

/**
 * A stored file to be handed on, once its first segment is found authentic. Where it is not what was stored (altered,
 * cut, exchanged for another) that is recorded; this rejects, or the stream breaks off, with NotAuthenticError.
 */
export async function handOn(
  imaging: Imaging,
  reader: Reader,
  file: AsyncIterable<Buffer>,
): Promise<Readable> {
  const parts = noticing(imaging, reader, file)
  const first = await parts.next()
  async function* all() {
    if (!first.done) yield first.value
    yield* parts
  }
  return Readable.from(all())
}
