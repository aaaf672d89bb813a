import { type CanActivate, type ExecutionContext, Inject, Injectable } from '@nestjs/common'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { ProblemError } from '#libs/platform'
import { AccessGuard } from '../access.guard.js'
import type { Limits } from '../limits/limits.js'
import type { Principal } from '../principal.js'
import type { Denials } from './denials.js'

/** Injection token of what the door of a service knows besides who may come in. */
export const DOOR = Symbol('door')

/** Budgets, and where denials are recorded. */
export interface Door {
  limits?: Limits
  denials?: Denials
}

type Request = FastifyRequest & { user?: Principal }

const paces = new WeakMap<FastifyRequest, (signal: AbortSignal) => Promise<void>>()

/** For a request that carries many (a batch): charges its budget once more and waits while that is spent. */
export const paceOf =
  (request: FastifyRequest) =>
  (signal: AbortSignal): Promise<void> | undefined =>
    paces.get(request)?.(signal)

const isRefusal = (error: unknown): error is ProblemError =>
  error instanceof ProblemError && (error.status === 401 || error.status === 403)

/**
 * Registered globally. Who is it, may they; then what is left of their budget, also for whoever is refused; then a
 * refusal is recorded where it concerns more than the daily data, and told.
 */
@Injectable()
export class DoorGuard implements CanActivate {
  constructor(
    private readonly access: AccessGuard,
    @Inject(DOOR) private readonly door: Door,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const refusal = await this.refusalOf(context)
    const http = context.switchToHttp()
    const request = http.getRequest<Request>()
    const { method, ip: address, user: caller } = request
    const route = request.routeOptions.url ?? ''
    const { limits } = this.door
    if (limits) {
      const visit = { method, route, address, caller }
      http.getResponse<FastifyReply>().headers(await limits.charge(visit))
      paces.set(request, (signal) => limits.admit(visit, signal))
    }
    if (!refusal) return true
    if (caller && refusal.status === 403) await this.door.denials?.record(caller, { method, route, refusal })
    throw refusal
  }

  private async refusalOf(context: ExecutionContext): Promise<ProblemError | undefined> {
    try {
      await this.access.canActivate(context)
      return undefined
    } catch (error) {
      if (isRefusal(error)) return error
      throw error
    }
  }
}
