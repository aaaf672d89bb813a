import type pg from 'pg'
import { Gauge } from 'prom-client'
import { metrics } from '#libs/platform'

const NAME = 'vigil_key_rotation_keys'

interface Standing {
  seen: number
  rewrapped: number
  total: number
  unfinished: number
}

async function standingOf(pool: pg.Pool): Promise<Standing | undefined> {
  const { rows } = await pool.query<Standing>(
    `SELECT seen::int AS seen, rewrapped::int AS rewrapped, total::int AS total,
       (finished_at IS NULL)::int AS unfinished
     FROM keys.rotation ORDER BY finished_at IS NULL DESC, started_at DESC LIMIT 1`,
  )
  return rows[0]
}

/**
 * Offers how far the last rotation of the key-encryption key came (`npm run keys:rotate`), read when the metrics are
 * asked for: keys looked at, re-wrapped, in all, and whether it is unfinished (1) or not (0).
 */
export function offerRotationMetrics(pool: pg.Pool): void {
  metrics.removeSingleMetric(NAME)
  new Gauge({
    name: NAME,
    help: 'Wrapped keys of the last rotation: seen, rewrapped, total; unfinished is 1 while it is under way',
    labelNames: ['state'],
    registers: [metrics],
    async collect() {
      // Without the database the last figures stand: the other metrics must not go with it.
      const standing = await standingOf(pool).catch(() => undefined)
      for (const [state, count] of Object.entries(standing ?? {})) this.set({ state }, count)
    },
  })
}
