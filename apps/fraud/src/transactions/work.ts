import type pg from 'pg'
import type { Logger } from 'pino'
import type { Actor } from '#libs/auth'
import type { Guard, RunnableModel } from '#libs/inference'
import type { Correlation } from '#libs/platform'
import type { TruthMemory } from '../features/state.sql.js'
import type { Policy } from '../policy/policy.js'
import type { BatchLimits } from './batcher.js'
import type { Arrival } from './decide.sql.js'

/** What deciding needs. */
export interface DeskParts {
  /** For everything but decisions. */
  pool: pg.Pool
  /** Connections of decisions alone, in pipeline mode; at least as many as lanes. */
  lanes: pg.Pool
  /** Around every transaction of decisions; its signal cuts the connection. Without one it may take any time. */
  guard?: Pick<Guard, 'run'>
  model: RunnableModel
  policy: Policy
  logger: Logger
  limits: BatchLimits
}

/** A payment on its way to a batch. */
export interface Waiting extends Arrival {
  actor: Actor
  correlation: Correlation
  startedAt: number
}

/** What deciding a batch needs besides. */
export type Work = DeskParts & { featureSet: number; truths: TruthMemory }
