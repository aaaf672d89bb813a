import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Logger } from 'pino'
import { z } from 'zod'
import { type NoteSigner, noteSigner, startSequencer, verificationKey } from '#libs/audit'
import { LocalKeyring } from '#libs/crypto'
import { BaseConfig, createPool, type RunningService, startService } from '#libs/platform'
import { ACTS } from './acts.js'
import { ComplianceModule } from './compliance.module.js'
import { currentSigningKey } from './identity/signing-keys.js'
import { LogReader } from './trail/log.js'

export const ComplianceConfig = BaseConfig.extend({
  /** Logged in as `vigil_sequencer`; without it this replica serves but does not sequence. */
  SEQUENCER_DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/ }).optional(),
  SEQUENCE_INTERVAL_MS: z.coerce.number().int().min(50).max(60_000).default(500),
  /** Name of the log in every checkpoint (a schema-less URL). A new name is a new log. */
  AUDIT_ORIGIN: z
    .string()
    .regex(/^[a-z0-9.-]+(\/[a-z0-9._-]+)*$/)
    .default('vigil.invalid/audit'),
  /** How long a request for an act of two persons waits for the second. */
  APPROVAL_VALID_HOURS: z.coerce.number().int().min(1).max(720).default(72),
})
export type ComplianceConfig = z.infer<typeof ComplianceConfig>

/** The log's Ed25519 seed, kept apart from the database; made on first use. */
function logSigner(dataDir: string, origin: string): NoteSigner {
  const path = join(dataDir, 'secrets', 'audit-log-key')
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  if (!existsSync(path)) writeFileSync(path, randomBytes(32).toString('base64'), { mode: 0o600, flag: 'wx' })
  return noteSigner(origin, Buffer.from(readFileSync(path, 'utf8'), 'base64'))
}

/** Starts the compliance service with its sequencer. */
export async function startCompliance(config: ComplianceConfig, logger: Logger): Promise<RunningService> {
  const pool = createPool(config.DATABASE_URL, {
    applicationName: 'vigil-compliance',
    max: config.DATABASE_POOL_MAX,
    logger,
  })
  const keyring = LocalKeyring.open(join(config.DATA_DIR, 'secrets', 'keyring.json'))
  const signer = logSigner(config.DATA_DIR, config.AUDIT_ORIGIN)
  const compliance = {
    pool,
    issuer: config.ISSUER,
    audience: config.TOKEN_AUDIENCE,
    signingKey: await currentSigningKey(pool, keyring),
    log: new LogReader(pool, verificationKey(signer)),
    patientIndexKey: keyring.derive('blind index'),
    keyring,
    acts: ACTS,
    approvalHours: config.APPROVAL_VALID_HOURS,
  }
  const jwksUrl = config.JWKS_URL ?? `${config.ISSUER}/.well-known/jwks.json`
  const tokens = { issuer: config.ISSUER, audience: config.TOKEN_AUDIENCE, jwksUrl }
  const service = await startService({
    name: 'compliance',
    title: 'Vigil compliance',
    module: ComplianceModule.with(compliance, tokens),
    config,
    logger,
    checks: { database: () => pool.query('SELECT 1') },
  })
  const sequencing = config.SEQUENCER_DATABASE_URL
    ? createPool(config.SEQUENCER_DATABASE_URL, { applicationName: 'vigil-sequencer', max: 2, logger })
    : undefined
  const sequencer =
    sequencing &&
    startSequencer({
      pool: sequencing,
      signer,
      intervalMs: config.SEQUENCE_INTERVAL_MS,
      onError: (err) => logger.error({ err }, 'sequencing failed: trying again'),
    })
  const stop = async () => {
    await service.stop()
    await sequencer?.stop()
    await Promise.all([pool.end(), sequencing?.end()])
  }
  return { ...service, stop }
}
