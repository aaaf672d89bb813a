import type { Logger } from 'pino'
import { z } from 'zod'
import { type Guard, GuardedModel, type RunnableModel, watchedGuard } from '#libs/inference'
import { isUnavailable } from '#libs/platform'

const milliseconds = z.coerce.number().int().min(1).max(60_000)
const failures = z.coerce.number().int().min(1).max(1_000)

/** Settings of what decisions depend on. */
export const guardSettings = {
  /** A model that takes longer is given up: the rules decide alone. */
  FRAUD_MODEL_TIMEOUT_MS: milliseconds.default(250),
  /** How long a model, or the database, is left alone after it failed so many times in a row. */
  FRAUD_MODEL_RECOVER_MS: milliseconds.default(5_000),
  FRAUD_MODEL_FAILURES: failures.default(5),
  /** A transaction that takes longer is cut off: its payments are told to come again. */
  FRAUD_DATABASE_TIMEOUT_MS: milliseconds.default(5_000),
  FRAUD_DATABASE_RECOVER_MS: milliseconds.default(1_000),
  FRAUD_DATABASE_FAILURES: failures.default(3),
}
type GuardConfig = z.infer<z.ZodObject<typeof guardSettings>> & { FRAUD_LANES: number }

/** The model behind its guard: what it refuses, rules decide. */
export function guardModel(model: RunnableModel, config: GuardConfig, logger: Logger): RunnableModel {
  const settings = {
    name: 'model',
    timeoutMs: config.FRAUD_MODEL_TIMEOUT_MS,
    recoverMs: config.FRAUD_MODEL_RECOVER_MS,
    failures: config.FRAUD_MODEL_FAILURES,
    // Two inferences of each lane, and as many that hang and cannot be stopped.
    concurrency: 4 * config.FRAUD_LANES,
    waiting: 4 * config.FRAUD_LANES,
  }
  return new GuardedModel(model, watchedGuard(settings, logger))
}

/** The guard around transactions of decisions. */
export const guardDatabase = (config: GuardConfig, logger: Logger): Guard =>
  watchedGuard(
    {
      name: 'database',
      timeoutMs: config.FRAUD_DATABASE_TIMEOUT_MS,
      recoverMs: config.FRAUD_DATABASE_RECOVER_MS,
      failures: config.FRAUD_DATABASE_FAILURES,
      concurrency: config.FRAUD_LANES,
      waiting: config.FRAUD_LANES,
      counts: isUnavailable,
    },
    logger,
  )
