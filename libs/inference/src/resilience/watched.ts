import type { Logger } from 'pino'
import { Counter, Gauge } from 'prom-client'
import { metrics } from '#libs/platform'
import { Guard, type GuardSettings, type GuardState } from './guard.js'

const LEVEL: Record<GuardState, number> = { closed: 0, 'half-open': 0.5, open: 1 }

const breaker = new Gauge({
  name: 'dependency_breaker_open',
  help: 'Breaker of a dependency: 0 closed, 0.5 trying again, 1 open',
  labelNames: ['dependency'],
  registers: [metrics],
})
const refusals = new Counter({
  name: 'dependency_refusals_total',
  help: 'Calls of a dependency that were refused or given up, by reason',
  labelNames: ['dependency', 'reason'],
  registers: [metrics],
})

/** A guard whose state and refusals are metrics, and whose changes are logged. */
export function watchedGuard(settings: Omit<GuardSettings, 'onState' | 'onRefusal'>, logger: Logger): Guard {
  const { name } = settings
  breaker.set({ dependency: name }, 0)
  const onState = (state: GuardState) => {
    breaker.set({ dependency: name }, LEVEL[state])
    if (state === 'closed') logger.info({ dependency: name }, 'the dependency works again')
    if (state === 'open') logger.error({ dependency: name }, 'the dependency fails: it is given a rest')
  }
  return new Guard({
    ...settings,
    onState,
    onRefusal: (reason) => refusals.inc({ dependency: name, reason }),
  })
}
