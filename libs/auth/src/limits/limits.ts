import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { Gauge, Counter as Metric } from 'prom-client'
import { metrics, problems } from '#libs/platform'
import type { Principal } from '../principal.js'
import { type BudgetName, type Budgets, budgetOf } from './budgets.js'
import { type ClientLimits, watchClientLimits } from './client-limits.js'
import {
  insuredCounter,
  memoryCounter,
  type OpenCounter,
  postgresCounter,
  redisCounter,
  watchedCounter,
} from './counters.js'
import { addressKey, limitField, policyField } from './fields.js'
import { LeasedLimiter, type Verdict } from './lease.js'

const refusals = new Metric({
  name: 'rate_limit_refusals_total',
  help: 'Requests that were refused because a budget was spent',
  labelNames: ['service', 'budget'],
  registers: [metrics],
})
const storeUp = new Gauge({
  name: 'rate_limit_store_up',
  help: '1 while the shared counter of budgets answers; 0 while each replica counts by itself',
  labelNames: ['service'],
  registers: [metrics],
})

/** What of a request decides which budget it is charged to. */
export interface Visit {
  method: string
  /** As it was declared, e.g. `/api/v1/images/:id`. */
  route: string
  address: string
  caller: Principal | undefined
}

/** Header fields that tell a client of its budget. */
export type LimitFields = Record<'ratelimit-policy' | 'ratelimit', string>

interface LimitOptions {
  service: 'fraud' | 'imaging' | 'compliance'
  databaseUrl: string
  redisUrl?: string | undefined
  budgets: Budgets
  logger: Logger
}

/**
 * Budgets of clients and addresses. Known clients share theirs over all replicas, and go on with a budget for each
 * replica while the store is away. Addresses of nobody known are counted here alone: a flood must not become a flood of
 * writes. The token endpoint asks the store each time, and refuses while that cannot answer.
 */
export class Limits {
  private readonly leased: LeasedLimiter
  private readonly local = new LeasedLimiter(memoryCounter())
  private readonly exact: LeasedLimiter

  constructor(
    private readonly options: Pick<LimitOptions, 'service' | 'budgets' | 'logger'>,
    private readonly store: OpenCounter,
    private readonly clients: ClientLimits,
  ) {
    const { service, logger } = options
    storeUp.set({ service }, 1)
    const told = (isUp: boolean) => {
      storeUp.set({ service }, isUp ? 1 : 0)
      if (isUp) logger.info('the store of budgets is back')
      else logger.warn('the store of budgets is away: each replica counts by itself')
    }
    this.leased = new LeasedLimiter(insuredCounter(store, memoryCounter(), told))
    this.exact = new LeasedLimiter(watchedCounter(store, told))
  }

  /** Charges a request, or `points` of them. Throws 429 when the budget is spent, 503 where it must be known and is not. */
  async charge(visit: Visit, points = 1): Promise<LimitFields> {
    const budget = budgetOf(visit.method, visit.route, visit.caller !== undefined)
    const limit = this.limitOf(budget, visit.caller)
    const spent = this.limiterOf(budget).spend(keyOf(budget, visit), limit, points)
    const verdict = spent instanceof Promise ? await spent.catch(unknownBudget) : spent
    const fields = fieldsOf(budget, limit, verdict)
    if (verdict.allowed) return fields
    refusals.inc({ service: this.options.service, budget })
    throw problems.tooManyRequests({
      detail: `More than ${limit} requests a minute (${budget})`,
      headers: { ...fields, 'retry-after': String(secondsUntil(verdict.resetAt)) },
    })
  }

  /** Charges one more to a request that carries many: resolves at once, or when the next window has room for it. */
  async admit(visit: Visit, signal: AbortSignal): Promise<void> {
    const budget = budgetOf(visit.method, visit.route, visit.caller !== undefined)
    const limit = this.limitOf(budget, visit.caller)
    for (;;) {
      const verdict = await this.limiterOf(budget).spend(keyOf(budget, visit), limit)
      if (verdict.allowed) return
      await sleep(Math.max(50, verdict.resetAt - Date.now()), undefined, { signal, ref: false }).catch(
        unknownBudget,
      )
    }
  }

  private limitOf(budget: BudgetName, caller: Principal | undefined): number {
    return (caller && this.clients.limitOf(caller, budget)) ?? this.options.budgets[budget]
  }

  private limiterOf(budget: BudgetName): LeasedLimiter {
    if (budget === 'token') return this.exact
    return budget === 'anonymous' ? this.local : this.leased
  }

  async close(): Promise<void> {
    await this.clients.close()
    await this.store.close()
  }
}

const unknownBudget = (): never => {
  throw problems.unavailable({ detail: 'Try again in a moment', headers: { 'retry-after': '2' } })
}

/** Per client where there is one, and per person where people share a client; else per address. */
function keyOf(budget: BudgetName, { caller, address }: Visit): string {
  if (!caller || budget === 'token') return `${budget} a ${addressKey(address)}`
  return JSON.stringify([budget, caller.tenant, caller.issuer, caller.clientId, caller.subject])
}

const secondsUntil = (at: number) => Math.max(1, Math.ceil((at - Date.now()) / 1000))

const fieldsOf = (name: string, limit: number, { remaining, resetAt }: Verdict): LimitFields => ({
  'ratelimit-policy': policyField(name, limit),
  ratelimit: limitField(name, remaining, secondsUntil(resetAt)),
})

/** Opens the budgets of a service, on Redis where it is configured, else on its database. */
export function openLimits({ databaseUrl, redisUrl, ...options }: LimitOptions): Limits {
  const store = redisUrl ? redisCounter(redisUrl) : postgresCounter(databaseUrl)
  return new Limits(options, store, watchClientLimits(databaseUrl, options.logger))
}
