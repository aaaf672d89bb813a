import { AsyncLocalStorage } from 'node:async_hooks'
import type { Span } from '@opentelemetry/api'
import { isUuid, newId } from './ids.js'

/** What ties together everything that one request causes, across services, queues and logs. */
export interface Correlation {
  correlationId: string
  /** W3C Trace Context header to pass on: the caller's, or that of our own span while tracing is on. */
  traceparent?: string
  /** Our own span of the work under way, while tracing is on. */
  span?: Span
}

const storage = new AsyncLocalStorage<Correlation>()
const TRACEPARENT = /^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/

/** The correlation of the work under way; outside of any request a new one. */
export const correlation = (): Correlation => storage.getStore() ?? { correlationId: newId() }

/** Runs `work` under a correlation, so that logs, audit entries and calls that it makes carry it. */
export const withCorrelation = <T>(context: Correlation, work: () => T): T => storage.run(context, work)

/**
 * Reads `X-Correlation-Id` and `traceparent`. Anything but a UUID is replaced: a caller must not be able to
 * write names or card numbers into our logs through a header.
 */
export function correlationFrom(headers: Record<string, string | string[] | undefined>): Correlation {
  const given = headers['x-correlation-id']
  const trace = headers.traceparent
  const correlationId = typeof given === 'string' && isUuid(given) ? given : newId()
  return typeof trace === 'string' && TRACEPARENT.test(trace)
    ? { correlationId, traceparent: trace }
    : { correlationId }
}
