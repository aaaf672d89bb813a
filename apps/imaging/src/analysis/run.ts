import type { Pool } from 'pg'
import { inTransaction } from '#libs/platform'
import { stepDuration } from '../metrics.js'
import { type Run, recordStep, type StepName } from '../storage/images.sql.js'

/** A step ended in a way that another try cannot change; the code goes to the client and the audit trail. */
export class PermanentFailure extends Error {
  override readonly name = 'PermanentFailure'
  constructor(
    readonly status: 'failed' | 'quarantined',
    readonly code: string,
    readonly deidentification?: object,
  ) {
    super(code)
  }
}

/** Which step a run was in when it failed. */
export class StepFailure extends Error {
  override readonly name = 'StepFailure'
  constructor(
    readonly step: StepName,
    override readonly cause: unknown,
  ) {
    super(`${step} failed`)
  }
}

/** Keeps the record of one run: which step it is in, since when, how long each took. */
export class RunLog {
  constructor(
    private readonly pool: Pool,
    private readonly run: Run,
  ) {}

  /** Does a step; its end is recorded apart from its effect, which is idempotent. */
  async step<T>(name: StepName, work: () => Promise<T>): Promise<T> {
    const startedAt = new Date()
    const begun = performance.now()
    await this.record({ name, status: 'running', startedAt })
    const end = (status: 'done' | 'failed') => {
      const durationMs = performance.now() - begun
      stepDuration.observe({ step: name, outcome: status }, durationMs / 1000)
      return this.record({ name, status, startedAt, durationMs })
    }
    try {
      const result = await work()
      await end('done')
      return result
    } catch (error) {
      await end('failed').catch(() => undefined)
      throw error instanceof PermanentFailure ? error : new StepFailure(name, error)
    }
  }

  skip(name: StepName): Promise<void> {
    return this.record({ name, status: 'skipped', startedAt: new Date() })
  }

  private record(step: Parameters<typeof recordStep>[2]): Promise<void> {
    return inTransaction(this.pool, (client) => recordStep(client, this.run, step))
  }
}
