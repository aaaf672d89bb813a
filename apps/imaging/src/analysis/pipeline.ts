import { GiveUp } from '#libs/queue'
import type { Imaging } from '../imaging.js'
import { beginRun, type ImageRow, OvertakenError } from '../storage/images.sql.js'
import { classify, modelFor } from './classify.js'
import { concludeFailure, concludeSuccess } from './conclude.js'
import { deidentifyImage } from './deidentify-image.js'
import { pixelsFor } from './pixels.js'
import { type AnalysisResult, withoutPrediction } from './result.js'
import { PermanentFailure, RunLog, StepFailure } from './run.js'

class TimeLimitError extends Error {
  override readonly name = 'TimeLimitError'
}

async function within<T>(limitMs: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new TimeLimitError()), limitMs)
  })
  return Promise.race([work, limit]).finally(() => clearTimeout(timer))
}

const TOO_LARGE = Promise.resolve({
  kind: 'refused',
  reason: 'out_of_domain',
  detail: 'The instance is larger than any that the model was made for',
} as const)

/** From the de-identified bytes to the model's answer: nothing else of the image is in reach here. */
async function analyse(
  imaging: Imaging,
  log: RunLog,
  clean: Buffer | undefined,
  modality: string,
): Promise<AnalysisResult> {
  const model = modelFor(imaging.models, modality)
  if (!model) {
    await log.skip('decode')
    await log.skip('analyse')
    return withoutPrediction('no_model_for_modality', `There is no model for ${modality}`)
  }
  const pixels = await log.step('decode', () => (clean ? pixelsFor(model.card, clean, modality) : TOO_LARGE))
  if (pixels.kind === 'refused') {
    await log.skip('analyse')
    return withoutPrediction(pixels.reason, pixels.detail)
  }
  return log.step('analyse', () => classify(model, pixels.values))
}

async function run(imaging: Imaging, image: ImageRow): Promise<void> {
  const log = new RunLog(imaging.pool, image)
  const clean = await log.step('deidentify', () => deidentifyImage(imaging, image))
  const result = await analyse(imaging, log, clean, image.modality)
  await log.step('associate', () => concludeSuccess(imaging, image, result))
}

/** Machine code of a failure; texts of errors never leave. */
function failureCode(error: unknown): string {
  if (error instanceof PermanentFailure) return error.code
  if (error instanceof StepFailure) return `${error.step}_failed`
  if (error instanceof TimeLimitError) return 'time_limit'
  return 'pipeline_failed'
}

/**
 * Runs an image through its steps. Safe to be called again at any time, also while an earlier run goes on: the later
 * run takes over, and the image ends exactly once. Rejects when the job is to be tried again, with GiveUp when not.
 */
export async function analyseImage(imaging: Imaging, correlationId: string): Promise<void> {
  const { pool, limits, logger } = imaging
  const image = await beginRun(pool, correlationId)
  if (!image) return
  try {
    if (image.attempt > limits.attempts) throw new PermanentFailure('failed', 'attempts_exhausted')
    await within(limits.runMs, run(imaging, image))
  } catch (error) {
    if (isOvertaken(error)) return
    const code = failureCode(error)
    const cause = error instanceof StepFailure ? error.cause : error
    const isFinal = error instanceof PermanentFailure || image.attempt >= limits.attempts
    logger.warn({ err: withoutMessage(cause), code, attempt: image.attempt, final: isFinal }, 'run failed')
    if (!isFinal) throw error
    const ending = error instanceof PermanentFailure ? error : new PermanentFailure('failed', code)
    await concludeFailure(imaging, image, ending)
    if (ending.status === 'failed') throw new GiveUp(code)
  }
}

const isOvertaken = (error: unknown): boolean =>
  error instanceof OvertakenError || (error instanceof StepFailure && error.cause instanceof OvertakenError)

/** What was thrown while PHI was in reach may quote it: only its kind and place are logged. */
function withoutMessage(error: unknown): Error {
  const bare = new Error('see the code')
  if (!(error instanceof Error)) return bare
  bare.name = error.name
  bare.stack = error.stack
    ?.split('\n')
    .filter((line) => line.trimStart().startsWith('at '))
    .join('\n')
  return bare
}
