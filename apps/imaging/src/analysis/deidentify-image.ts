import { inTransaction } from '#libs/platform'
import { type Deidentified, deidentify } from '../deidentify/deidentify.js'
import type { Instance } from '../deidentify/dicom/element.js'
import { DicomError } from '../deidentify/dicom/error.js'
import { LIMITS } from '../deidentify/dicom/limits.js'
import { parseInstance } from '../deidentify/dicom/parse.js'
import { type Order, type PixelFinding, UNCHECKED } from '../deidentify/order.js'
import type { ReportLine } from '../deidentify/report.js'
import type { Imaging } from '../imaging.js'
import { openLarge } from '../large/image.js'
import { LARGE } from '../large/task.js'
import { findInPixels } from '../pixels/finding.js'
import type { Blob } from '../storage/blob-store.js'
import { fence, findBlob, type ImageRow, keepDeidentified } from '../storage/images.sql.js'
import type { DeidentificationSummary } from './result.js'
import { PermanentFailure } from './run.js'

const PROFILE = 'DICOM PS3.15 2026c Basic Application Level Confidentiality Profile'

/** How often each action was taken. Pure. */
export function summarize(
  report: readonly ReportLine[],
  options: Order['options'],
  outcome: DeidentificationSummary['outcome'],
): DeidentificationSummary {
  const actions: Record<string, number> = {}
  for (const { action } of report) actions[action] = (actions[action] ?? 0) + 1
  return { profile: PROFILE, options: [...options], outcome, actions }
}

async function blobOf(imaging: Imaging, id: string, tenant: string): Promise<Blob> {
  const blob = await findBlob(imaging.pool, id, tenant)
  if (!blob) throw new Error('An image without its blob')
  return blob
}

function refuseUnclean(
  outcome: Deidentified,
  order: Order,
): asserts outcome is Deidentified & { kind: 'clean' } {
  if (outcome.kind === 'clean') return
  if (outcome.kind === 'rejected') throw new PermanentFailure('failed', `dicom_${outcome.error.code}`)
  const summary = summarize(outcome.report, order.options, 'quarantined')
  throw new PermanentFailure('quarantined', outcome.reason, summary)
}

/** What looking at the pixels says; nothing of what is no DICOM, which de-identification then rejects. */
async function findingOf(imaging: Imaging, original: Buffer, { limits }: Order): Promise<PixelFinding> {
  if (!imaging.textFinder) return UNCHECKED
  let instance: Instance
  try {
    instance = parseInstance(original, limits)
  } catch (error) {
    if (error instanceof DicomError) return UNCHECKED
    throw error
  }
  return findInPixels(instance, await imaging.textFinder())
}

async function keep(
  imaging: Imaging,
  image: ImageRow,
  blob: Blob,
  summary: DeidentificationSummary,
): Promise<void> {
  await inTransaction(imaging.pool, async (client) => {
    await fence(client, image)
    await keepDeidentified(client, image, blob, summary)
  })
}

/** Cleans what is too large for memory, on a thread, from encrypted file to encrypted file. Nobody looks at its pixels. */
async function deidentifyLarge(
  imaging: Imaging,
  image: ImageRow,
  original: Blob,
  order: Order,
): Promise<void> {
  const { store } = imaging
  const inflatedBytes = imaging.limits.imageBytes
  const large = await openLarge({ place: await store.place(original), order, inflatedBytes })
  try {
    const { outcome } = large
    if (outcome.kind === 'rejected') throw new PermanentFailure('failed', `dicom_${outcome.code}`)
    if (outcome.kind === 'sound') throw new Error('A thread that was to clean only read')
    if (outcome.kind === 'quarantined') {
      const summary = summarize(outcome.report, order.options, 'quarantined')
      throw new PermanentFailure('quarantined', outcome.reason, summary)
    }
    const blob = await store.write(image.tenant, 'deidentified', large.chunks())
    await keep(imaging, image, blob, summarize(outcome.report, order.options, 'clean'))
  } finally {
    await large.close()
  }
}

/**
 * The image without its identifiers: from the store where an earlier run left it, else made now and stored. What
 * cannot be made clean ends the image in quarantine. Undefined where it is stored, but too large to be in memory.
 */
export async function deidentifyImage(imaging: Imaging, image: ImageRow): Promise<Buffer | undefined> {
  const { store } = imaging
  const { tenant } = image
  if (image.deidentified) {
    const done = await blobOf(imaging, image.deidentified, tenant)
    return done.bytes > LARGE ? undefined : store.readWhole(done)
  }
  const source = await blobOf(imaging, image.original, tenant)
  const order: Order = {
    options: [],
    keys: imaging.deidentificationKeys(tenant),
    limits: { ...LIMITS, inflatedBytes: imaging.limits.imageBytes },
  }
  if (source.bytes > LARGE) return void (await deidentifyLarge(imaging, image, source, order))
  const original = await store.readWhole(source)
  const outcome = deidentify(original, order, await findingOf(imaging, original, order))
  refuseUnclean(outcome, order)
  const blob = await store.write(tenant, 'deidentified', segments(outcome.bytes))
  await keep(imaging, image, blob, summarize(outcome.report, order.options, 'clean'))
  return outcome.bytes
}

async function* segments(bytes: Buffer, size = 1024 * 1024): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}
