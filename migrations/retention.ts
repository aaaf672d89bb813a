import type pg from 'pg'

/** Periods of retention classes as ISO 8601 durations or PostgreSQL intervals; a class that is not named keeps its own. */
export type RetentionPeriods = Partial<Record<'phi' | 'payment' | 'default', string>>

/** `RETENTION_PHI`, `RETENTION_PAYMENT`, `RETENTION_DEFAULT` of an environment. */
export const retentionFrom = (env: NodeJS.ProcessEnv): RetentionPeriods => ({
  ...(env.RETENTION_PHI ? { phi: env.RETENTION_PHI } : {}),
  ...(env.RETENTION_PAYMENT ? { payment: env.RETENTION_PAYMENT } : {}),
  ...(env.RETENTION_DEFAULT ? { default: env.RETENTION_DEFAULT } : {}),
})

/**
 * Sets the periods, as an administrator: no service can. Rejects with a message that names the class where a period
 * is none, or shorter than the class allows.
 */
export async function setRetention(client: pg.Client, periods: RetentionPeriods): Promise<void> {
  for (const [name, period] of Object.entries(periods)) {
    try {
      await client.query('UPDATE audit.retention_class SET period = $2::interval WHERE class = $1', [
        name,
        period,
      ])
    } catch {
      throw new Error(
        `RETENTION_${name.toUpperCase()} is no period that the class ${name} can have (such as P7Y or "400 days"; phi at least P6Y)`,
      )
    }
  }
}
