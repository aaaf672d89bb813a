import { join } from 'node:path'
import type { Logger } from 'pino'
import { z } from 'zod'
import { doorSettings, openDoor, tokenPolicy, tokenSettings } from '#libs/auth'
import { keySettings, lazyUnwrap } from '#libs/crypto'
import { Model, ModelArchive, ModelError, type RunnableModel } from '#libs/inference'
import { BaseConfig, createPool, type RunningService, startService } from '#libs/platform'
import { acceptStreams } from './batch/accept.js'
import { FraudModule } from './fraud.module.js'
import { guardDatabase, guardModel, guardSettings } from './guards.js'
import { keepPartitions } from './history/partitions.js'
import { keepRetention } from './history/retention.js'
import { POLICY } from './policy/policy.js'
import { incompatibleFeatures } from './scoring/score.js'
import { openDesk } from './transactions/decide.js'

export const FraudConfig = BaseConfig.extend({
  ...doorSettings,
  ...keySettings,
  ...tokenSettings,
  MODELS_DIR: z.string().default('models'),
  /** Public keys whose models are loaded; `keys` in MODELS_DIR where none is given. */
  MODEL_KEYS_DIR: z.string().optional(),
  FRAUD_MODEL: z
    .string()
    .regex(/^[a-z0-9-]+\/v\d+$/)
    .default('fraud-gbdt/v1'),
  /** Database transactions of decisions under way at once. */
  FRAUD_LANES: z.coerce.number().int().min(1).max(32).default(3),
  /** Most payments that share one of them. */
  FRAUD_BATCH_MAX: z.coerce.number().int().min(1).max(512).default(64),
  /** Most payments that may wait: those that come on top of them are told to come again. */
  FRAUD_QUEUE_MAX: z.coerce.number().int().min(1).max(100_000).default(2_000),
  ...guardSettings,
  /** Payments of months that lie wholly further back are dropped, once a day; without it all are kept. */
  FRAUD_RETENTION_DAYS: z.coerce.number().int().min(90).optional(),
})
export type FraudConfig = z.infer<typeof FraudConfig>

const loadOptions = (config: FraudConfig) => ({
  trusted: config.MODEL_KEYS_DIR,
  provider: lazyUnwrap(config),
})

/** A model that takes other features than we compute would score nonsense: it is refused with the difference named. */
async function loadFraudModel(config: FraudConfig): Promise<Model> {
  const model = await Model.load(join(config.MODELS_DIR, config.FRAUD_MODEL), loadOptions(config))
  const difference = incompatibleFeatures(model.card.features ?? [])
  if (difference.length > 0)
    throw new ModelError(
      `${config.FRAUD_MODEL} takes other features than this service computes: ${difference.join(', ')}`,
    )
  return model
}

/** Starts the fraud service. */
export async function startFraud(
  config: FraudConfig,
  logger: Logger,
  load: (config: FraudConfig) => Promise<RunnableModel> = loadFraudModel,
): Promise<RunningService> {
  const model = guardModel(await load(config), config, logger)
  const pool = createPool(config.DATABASE_URL, {
    applicationName: 'vigil-fraud',
    max: config.DATABASE_POOL_MAX,
    logger,
  })
  const lanes = createPool(config.DATABASE_URL, {
    applicationName: 'vigil-fraud-lane',
    max: config.FRAUD_LANES,
    pipeline: true,
    logger,
  })
  const limits = {
    lanes: config.FRAUD_LANES,
    mostInBatch: config.FRAUD_BATCH_MAX,
    mostWaiting: config.FRAUD_QUEUE_MAX,
  }
  const guard = guardDatabase(config, logger)
  const partitions = keepPartitions(pool, logger)
  const retention = config.FRAUD_RETENTION_DAYS && keepRetention(pool, config.FRAUD_RETENTION_DAYS, logger)
  const desk = openDesk({ pool, lanes, guard, model, policy: POLICY, logger, limits })
  const models = new ModelArchive(config.MODELS_DIR, loadOptions(config))
  const door = openDoor('fraud', pool, config, logger)
  const service = await startService({
    name: 'fraud',
    title: 'Vigil fraud',
    module: FraudModule.with(desk, models, tokenPolicy(config, pool), door),
    config,
    logger,
    configure: acceptStreams,
    checks: { database: () => pool.query('SELECT 1') },
  })
  const stop = async () => {
    partitions.stop()
    if (retention) retention.stop()
    await service.stop()
    await door.close()
    await Promise.all([pool.end(), lanes.end()])
    await Promise.all([model.close(), models.close()])
  }
  return { ...service, stop }
}
