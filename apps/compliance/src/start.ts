import { join } from 'node:path'
import type { Logger } from 'pino'
import { z } from 'zod'
import { parseWitnesses, signerFrom, verificationKey } from '#libs/audit'
import { doorSettings, openDoor, tokenPolicy, tokenSettings } from '#libs/auth'
import { keySettings, openBlindIndex, openKeys } from '#libs/crypto'
import { BaseConfig, createPool, type RunningService, startService } from '#libs/platform'
import { openQueue } from '#libs/queue'
import { ACTS } from './acts.js'
import { ComplianceModule } from './compliance.module.js'
import { ExportStore } from './exports/store.js'
import { startExporting } from './exports/work.js'
import { IdentitySettings, openIdentity } from './identity/identity.js'
import { offerRotationMetrics } from './keys/rotation-metrics.js'
import { LogReader } from './trail/log.js'
import { startSequencing } from './trail/sequencing.js'

export const ComplianceConfig = BaseConfig.extend({
  ...keySettings,
  ...doorSettings,
  ...tokenSettings,
  ...IdentitySettings.shape,
  /** Logged in as `vigil_sequencer`; without it this replica serves but does not sequence. */
  SEQUENCER_DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/ }).optional(),
  SEQUENCE_INTERVAL_MS: z.coerce.number().int().min(50).max(60_000).default(500),
  /** Name of the log in every checkpoint (a schema-less URL). A new name is a new log. */
  AUDIT_ORIGIN: z
    .string()
    .regex(/^[a-z0-9.-]+(\/[a-z0-9._-]+)*$/)
    .default('vigil.invalid/audit'),
  /** Newest published checkpoint; on a disk that a restored database does not bring back with it. */
  AUDIT_CHECKPOINT_FILE: z.string().min(1).optional(),
  /** Witnesses that cosign the checkpoints: `URL VKEY`, separated by commas or newlines. */
  WITNESSES: z
    .string()
    .transform((text, context) => {
      try {
        return parseWitnesses(text)
      } catch {
        context.addIssue({ code: 'custom', message: 'must be pairs of URL and verification key' })
        return z.NEVER
      }
    })
    .default([]),
  WITNESS_TIMEOUT_MS: z.coerce.number().int().min(50).max(10_000).default(1_000),
  /** How long a request for an act of two persons waits for the second. */
  APPROVAL_VALID_HOURS: z.coerce.number().int().min(1).max(720).default(72),
  /** Jobs move to Redis where this is set; PostgreSQL otherwise. */
  REDIS_URL: z.url({ protocol: /^rediss?$/ }).optional(),
  /** The tenant whose officers decide of what is of all tenants. */
  OPERATOR_TENANT: z.string().min(1).max(64).default('default'),
  /** How long an export of the trail can be read. */
  EXPORT_HOURS: z.coerce.number().int().min(1).max(720).default(168),
  /** Entries in memory at once while an export is written; also what a crash of it costs. */
  EXPORT_PART_ENTRIES: z.coerce.number().int().min(1).max(50_000).default(5_000),
  /** A worker that was not heard of for this long has lost its job. */
  QUEUE_LOCK_MS: z.coerce.number().int().min(500).max(600_000).default(30_000),
  EXPORT_SWEEP_MS: z.coerce.number().int().min(100).max(3_600_000).default(30_000),
})
export type ComplianceConfig = z.infer<typeof ComplianceConfig>

/** Starts the compliance service with its sequencer. */
export async function startCompliance(config: ComplianceConfig, logger: Logger): Promise<RunningService> {
  const pool = createPool(config.DATABASE_URL, {
    applicationName: 'vigil-compliance',
    max: config.DATABASE_POOL_MAX,
    logger,
  })
  const keys = await openKeys(config, pool)
  const signer = signerFrom(join(config.DATA_DIR, 'secrets', 'audit-log-key'), config.AUDIT_ORIGIN)
  const queue = openQueue({
    name: 'audit-exports',
    databaseUrl: config.DATABASE_URL,
    ...(config.REDIS_URL ? { redisUrl: config.REDIS_URL } : {}),
    outbox: { pool, table: 'exports.outbox' },
    ...{ attempts: 20, backoffMs: 1_000, lockMs: config.QUEUE_LOCK_MS, logger },
  })
  const store = new ExportStore(join(config.DATA_DIR, 'exports'))
  const compliance = {
    pool,
    issuer: config.ISSUER,
    audience: config.TOKEN_AUDIENCE,
    identity: await openIdentity({
      ...{ pool, keys, logger, settings: config },
      ...{ issuer: config.ISSUER, audience: config.TOKEN_AUDIENCE },
    }),
    log: new LogReader(pool, [verificationKey(signer), ...config.WITNESSES.map(({ vkey }) => vkey)]),
    patientIndex: openBlindIndex(keys.derive, config.BLIND_INDEX_VERSIONS),
    keyring: keys.provider,
    acts: ACTS,
    approvalHours: config.APPROVAL_VALID_HOURS,
    operatorTenant: config.OPERATOR_TENANT,
    exports: { queue, store, hours: config.EXPORT_HOURS },
  }
  offerRotationMetrics(pool)
  const tokens = tokenPolicy(config, pool)
  const sequencing =
    config.SEQUENCER_DATABASE_URL === undefined
      ? undefined
      : await startSequencing(
          { ...config, SEQUENCER_DATABASE_URL: config.SEQUENCER_DATABASE_URL },
          signer,
          pool,
          logger,
        )
  const door = openDoor('compliance', pool, config, logger)
  const service = await startService({
    name: 'compliance',
    title: 'Vigil compliance',
    module: ComplianceModule.with(compliance, tokens, door),
    config,
    logger,
    checks: {
      database: () => pool.query('SELECT 1'),
      ...(sequencing ? { 'audit log': async () => sequencing.check() } : {}),
    },
  })
  const exporting = startExporting({
    ...{ pool, keyring: keys.provider, store, queue, logger, log: compliance.log },
    partEntries: config.EXPORT_PART_ENTRIES,
    sweepMs: config.EXPORT_SWEEP_MS,
  })
  const stop = async () => {
    await service.stop()
    await exporting.stop()
    compliance.identity.stop()
    await sequencing?.stop()
    await door.close()
    await pool.end()
    keys.close()
  }
  return { ...service, stop }
}
