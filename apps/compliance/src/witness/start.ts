import { join } from 'node:path'
import { type DynamicModule, Module } from '@nestjs/common'
import type { Logger } from 'pino'
import { z } from 'zod'
import { cosignatureKey, parseVerificationKey } from '#libs/audit'
import { BaseConfig, type RunningService, startService } from '#libs/platform'
import { WitnessState, witnessKey } from './state.js'
import { WitnessController } from './witness.controller.js'
import { WITNESS, Witness } from './witness.js'

const MAX_REQUEST = 64 * 1024

/** A witness has no database: it belongs on another machine than the log, in other hands. */
export const WitnessConfig = BaseConfig.omit({ DATABASE_URL: true, DATABASE_POOL_MAX: true }).extend({
  /** Name in every cosignature (a schema-less URL). */
  WITNESS_NAME: z
    .string()
    .regex(/^[a-z0-9.-]+(\/[a-z0-9._-]+)*$/)
    .default('vigil.invalid/witness'),
  /** Verification keys of the logs to witness, separated by commas or blanks. */
  WITNESS_LOGS: z.string().transform((text, context) => {
    try {
      return text
        .split(/[\s,]+/)
        .filter((key) => key !== '')
        .map(parseVerificationKey)
    } catch {
      context.addIssue({ code: 'custom', message: 'must be verification keys of logs' })
      return z.NEVER
    }
  }),
  /** Where key and state lie; `witness` below DATA_DIR by default. */
  WITNESS_DIR: z.string().optional(),
})
export type WitnessConfig = z.infer<typeof WitnessConfig>

@Module({})
class WitnessModule {
  static with(witness: Witness): DynamicModule {
    return {
      module: WitnessModule,
      controllers: [WitnessController],
      providers: [{ provide: WITNESS, useValue: witness }],
    }
  }
}

/** Starts a witness; resolves when it listens. */
export async function startWitness(config: WitnessConfig, logger: Logger): Promise<RunningService> {
  const folder = config.WITNESS_DIR ?? join(config.DATA_DIR, 'witness')
  const signer = witnessKey(folder, config.WITNESS_NAME)
  const state = WitnessState.open(folder)
  const witness = new Witness({
    signer,
    vkey: cosignatureKey(signer),
    logs: config.WITNESS_LOGS,
    state,
    now: () => BigInt(Math.floor(Date.now() / 1000)),
    logger,
  })
  const service = await startService({
    name: 'witness',
    title: 'Vigil witness',
    module: WitnessModule.with(witness),
    config,
    logger,
    checks: {},
    bodyLimit: MAX_REQUEST,
    configure: async (fastify) => {
      fastify.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => done(null, body))
    },
  })
  logger.info({ vkey: witness.vkey, logs: config.WITNESS_LOGS.map(({ name }) => name) }, 'witnessing')
  const stop = async () => {
    await service.stop()
    state.close()
  }
  return { ...service, stop }
}
