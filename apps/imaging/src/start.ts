import { join } from 'node:path'
import multipart from '@fastify/multipart'
import type pg from 'pg'
import type { Logger } from 'pino'
import { z } from 'zod'
import { doorSettings, openDoor, tokenPolicy, tokenSettings } from '#libs/auth'
import { type Keys, keySettings, openBlindIndex, openKeys, PatientKeys } from '#libs/crypto'
import { Model } from '#libs/inference'
import { BaseConfig, createPool, type RunningService, startService } from '#libs/platform'
import { openQueue } from '#libs/queue'
import { analyseImage } from './analysis/pipeline.js'
import { startSweeping } from './analysis/sweep.js'
import type { AnalysisModel, Imaging } from './imaging.js'
import { ImagingModule } from './imaging.module.js'
import { TextDetector } from './pixels/text/detector.js'
import { BlobStore } from './storage/blob-store.js'

const count = (low: number, high: number) => z.coerce.number().int().min(low).max(high)

export const ImagingConfig = BaseConfig.extend({
  ...keySettings,
  ...doorSettings,
  ...tokenSettings,
  /** Jobs and budgets move to Redis where this is set; PostgreSQL otherwise. */
  REDIS_URL: z.url({ protocol: /^rediss?$/ }).optional(),
  MAX_IMAGE_BYTES: count(1_024, 2 ** 31 - 1).default(512 * 1024 * 1024),
  MODELS_DIR: z.string().default('models'),
  /** Public keys whose models are loaded; `keys` in MODELS_DIR where none is given. */
  MODEL_KEYS_DIR: z.string().optional(),
  IMAGING_MODEL: z
    .string()
    .regex(/^[a-z0-9-]+\/v\d+$/)
    .default('chest-xray-pneumonia/v1'),
  /** What becomes of images that may hold text in their pixels: looked at and blacked out, or quarantined unseen. */
  BURNED_IN_TEXT: z.enum(['mask', 'quarantine']).default('mask'),
  /** Images analysed at once; each may be in memory whole, up to three times. 0 takes images in and analyses none. */
  PIPELINE_CONCURRENCY: count(0, 64).default(1),
  PIPELINE_ATTEMPTS: count(1, 20).default(4),
  PIPELINE_BACKOFF_MS: count(1, 600_000).default(1_000),
  PIPELINE_TIMEOUT_MS: count(1_000, 3_600_000).default(120_000),
  /** A worker that was not heard of for this long has lost its job. */
  QUEUE_LOCK_MS: count(500, 600_000).default(30_000),
  SWEEP_INTERVAL_MS: count(100, 3_600_000).default(15_000),
  /** An image on which nothing happened for this long is looked after. */
  STALLED_AFTER_S: count(1, 86_400).default(300),
  /** How long an emergency grant opens. */
  BREAK_GLASS_MINUTES: count(1, 1_440).default(60),
  BLOB_GARBAGE_AFTER_MS: count(1_000, 604_800_000).default(1_800_000),
})
export type ImagingConfig = z.infer<typeof ImagingConfig>

const QUEUE = 'imaging'

/** The networks take 0.2 s and 100 MB to load: only a service that looks at pixels pays for them. */
function textFinderOnce(): () => Promise<TextDetector> {
  let loaded: Promise<TextDetector> | undefined
  return () => {
    loaded ??= TextDetector.load()
    return loaded
  }
}

/** What a test may bring instead of what the configuration names. */
export interface Replacements {
  models?: readonly AnalysisModel[]
  keys?: Keys
}

async function open(
  config: ImagingConfig,
  logger: Logger,
  { pool, keys, models }: { pool: pg.Pool; keys: Keys; models: readonly AnalysisModel[] },
): Promise<Imaging> {
  const queue = openQueue({
    name: QUEUE,
    databaseUrl: config.DATABASE_URL,
    ...(config.REDIS_URL ? { redisUrl: config.REDIS_URL } : {}),
    outbox: { pool, table: 'imaging.outbox' },
    attempts: config.PIPELINE_ATTEMPTS,
    backoffMs: config.PIPELINE_BACKOFF_MS,
    lockMs: config.QUEUE_LOCK_MS,
    logger,
  })
  const derive = (purpose: string, tenant: string) => keys.derive(`deidentify ${purpose} ${tenant}`)
  return {
    ...{ pool, queue, keyring: keys.provider, models, logger },
    ...(config.BURNED_IN_TEXT === 'mask' ? { textFinder: textFinderOnce() } : {}),
    store: await BlobStore.open(join(config.DATA_DIR, 'blobs'), keys.provider),
    patientIndex: openBlindIndex(keys.derive, config.BLIND_INDEX_VERSIONS),
    deidentificationKeys: (tenant) => ({
      uid: derive('uid', tenant),
      patient: derive('patient', tenant),
      date: derive('date', tenant),
    }),
    limits: {
      imageBytes: config.MAX_IMAGE_BYTES,
      attempts: config.PIPELINE_ATTEMPTS,
      runMs: config.PIPELINE_TIMEOUT_MS,
      breakGlassMinutes: config.BREAK_GLASS_MINUTES,
    },
  }
}

/** The pipeline sits out a key management service that is away; three quarters of a run's time, no more. */
async function forWork(config: ImagingConfig, imaging: Imaging): Promise<Imaging> {
  const keyring = new PatientKeys(imaging.keyring, config.PIPELINE_TIMEOUT_MS * 0.75)
  return { ...imaging, keyring, store: await BlobStore.open(join(config.DATA_DIR, 'blobs'), keyring) }
}

/** Starts the imaging service: the HTTP door, the pipeline's worker and the sweeper. */
export async function startImaging(
  config: ImagingConfig,
  logger: Logger,
  replacements: Replacements = {},
): Promise<RunningService> {
  const pool = createPool(config.DATABASE_URL, {
    applicationName: 'vigil-imaging',
    max: config.DATABASE_POOL_MAX,
    logger,
  })
  const keys = replacements.keys ?? (await openKeys(config, pool))
  const own = replacements.models
    ? undefined
    : await Model.load(join(config.MODELS_DIR, config.IMAGING_MODEL), {
        trusted: config.MODEL_KEYS_DIR,
        provider: keys.provider,
      })
  const imaging = await open(config, logger, { pool, keys, models: replacements.models ?? [own!] })
  const { queue } = imaging
  const door = openDoor('imaging', pool, config, logger)
  const service = await startService({
    name: 'imaging',
    title: 'Vigil imaging',
    module: ImagingModule.with(imaging, tokenPolicy(config, pool), door),
    config,
    logger,
    checks: { database: () => pool.query('SELECT 1'), queue: () => queue.depth() },
    configure: async (fastify) => void (await fastify.register(multipart, { throwFileSizeLimit: false })),
  })
  if (config.PIPELINE_CONCURRENCY > 0) {
    const working = await forWork(config, imaging)
    const run = (subject: string) => analyseImage(working, subject)
    queue.work({ concurrency: config.PIPELINE_CONCURRENCY, run })
  }
  const sweeper = startSweeping(imaging, {
    intervalMs: config.SWEEP_INTERVAL_MS,
    stalledSeconds: config.STALLED_AFTER_S,
    garbageMs: config.BLOB_GARBAGE_AFTER_MS,
  })
  const stop = async () => {
    await service.stop()
    await sweeper.stop()
    await queue.close()
    await door.close()
    await pool.end()
    keys.close()
    await own?.close()
  }
  return { ...service, stop }
}
