import { join } from 'node:path'
import type { Logger } from 'pino'
import { z } from 'zod'
import { parseWitnesses, signerFrom, verificationKey } from '#libs/audit'
import { doorSettings, openDoor } from '#libs/auth'
import { keySettings, openKeys } from '#libs/crypto'
import { BaseConfig, createPool, type RunningService, startService } from '#libs/platform'
import { ACTS } from './acts.js'
import { ComplianceModule } from './compliance.module.js'
import { currentSigningKey } from './identity/signing-keys.js'
import { LogReader } from './trail/log.js'
import { startSequencing } from './trail/sequencing.js'

export const ComplianceConfig = BaseConfig.extend({
  ...keySettings,
  ...doorSettings,
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
  const compliance = {
    pool,
    issuer: config.ISSUER,
    audience: config.TOKEN_AUDIENCE,
    signingKey: await currentSigningKey(pool, keys.provider),
    log: new LogReader(pool, [verificationKey(signer), ...config.WITNESSES.map(({ vkey }) => vkey)]),
    patientIndexKey: keys.derive('blind index'),
    keyring: keys.provider,
    acts: ACTS,
    approvalHours: config.APPROVAL_VALID_HOURS,
  }
  const jwksUrl = config.JWKS_URL ?? `${config.ISSUER}/.well-known/jwks.json`
  const tokens = { issuer: config.ISSUER, audience: config.TOKEN_AUDIENCE, jwksUrl }
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
  const stop = async () => {
    await service.stop()
    await sequencing?.stop()
    await door.close()
    await pool.end()
    keys.close()
  }
  return { ...service, stop }
}
