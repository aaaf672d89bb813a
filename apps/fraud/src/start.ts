import { join } from 'node:path'
import type { Logger } from 'pino'
import { z } from 'zod'
import { doorSettings, openDoor, tokenPolicy, tokenSettings } from '#libs/auth'
import { keySettings, lazyUnwrap } from '#libs/crypto'
import { Model, ModelError } from '#libs/inference'
import { BaseConfig, createPool, type RunningService, startService } from '#libs/platform'
import { acceptStreams } from './batch/accept.js'
import { FraudModule } from './fraud.module.js'
import { POLICY } from './policy/policy.js'
import { incompatibleFeatures } from './scoring/score.js'

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
})
export type FraudConfig = z.infer<typeof FraudConfig>

/** A model that takes other features than we compute would score nonsense: it is refused with the difference named. */
async function loadFraudModel(config: FraudConfig): Promise<Model> {
  const model = await Model.load(join(config.MODELS_DIR, config.FRAUD_MODEL), {
    trusted: config.MODEL_KEYS_DIR,
    provider: lazyUnwrap(config),
  })
  const difference = incompatibleFeatures(model.card.features ?? [])
  if (difference.length > 0)
    throw new ModelError(
      `${config.FRAUD_MODEL} takes other features than this service computes: ${difference.join(', ')}`,
    )
  return model
}

/** Starts the fraud service. */
export async function startFraud(config: FraudConfig, logger: Logger): Promise<RunningService> {
  const model = await loadFraudModel(config)
  const pool = createPool(config.DATABASE_URL, {
    applicationName: 'vigil-fraud',
    max: config.DATABASE_POOL_MAX,
    logger,
  })
  const door = openDoor('fraud', pool, config, logger)
  const service = await startService({
    name: 'fraud',
    title: 'Vigil fraud',
    module: FraudModule.with({ pool, model, policy: POLICY, logger }, tokenPolicy(config, pool), door),
    config,
    logger,
    configure: acceptStreams,
    checks: { database: () => pool.query('SELECT 1') },
  })
  const stop = async () => {
    await service.stop()
    await door.close()
    await pool.end()
    await model.close()
  }
  return { ...service, stop }
}
