import { collectDefaultMetrics, Histogram, Registry } from 'prom-client'

/** The process's one registry; every lib and app adds its metrics here. */
export const metrics = new Registry()
collectDefaultMetrics({ register: metrics })

/** Time from the first byte of a request to the last of its response, in seconds, by route pattern (never URL). */
export const httpDuration = new Histogram({
  name: 'http_request_duration_seconds',
  help: 'HTTP request duration in seconds',
  labelNames: ['service', 'method', 'route', 'status'],
  buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
  registers: [metrics],
})
