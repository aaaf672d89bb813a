import type { FastifyInstance } from 'fastify'
import { metrics } from './metrics.js'

/** A dependency that must answer before the service is ready; rejects when it does not. */
export type Check = () => Promise<unknown>

/** Rejection of a check whose message may be shown to everybody. */
export class NotReady extends Error {
  override readonly name = 'NotReady'
}

/** Whether the service takes work: false from the first moment of a shutdown. */
export interface Readiness {
  accepting: boolean
}

const CHECK_TIMEOUT_MS = 2_000

/** `ok`, or why not. */
async function outcome(check: Check): Promise<string> {
  const limit = new Promise<never>((_, reject) => {
    setTimeout(() => reject(new Error('timeout')), CHECK_TIMEOUT_MS).unref()
  })
  return Promise.race([check(), limit]).then(
    () => 'ok',
    (error) => (error instanceof NotReady ? error.message : 'failing'),
  )
}

/** `/health` (the process answers), `/ready` (its dependencies do) and `/metrics` (Prometheus text). */
export function installOperations(
  fastify: FastifyInstance,
  service: string,
  readiness: Readiness,
  checks: Record<string, Check>,
): void {
  fastify.get('/health', async () => ({ status: 'ok', service }))
  fastify.get('/ready', async (_request, reply) => {
    const names = Object.keys(checks)
    const results = await Promise.all(Object.values(checks).map(outcome))
    const report = Object.fromEntries(names.map((name, at) => [name, results[at]]))
    const ready = readiness.accepting && results.every((result) => result === 'ok')
    const status = ready ? 'ready' : readiness.accepting ? 'not ready' : 'shutting down'
    return reply.status(ready ? 200 : 503).send({ status, service, checks: report })
  })
  fastify.get('/metrics', async (_request, reply) =>
    reply.type(metrics.contentType).send(await metrics.metrics()),
  )
}
