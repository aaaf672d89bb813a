import { Counter, Histogram } from 'prom-client'
import { metrics } from '#libs/platform'

export const decisions = new Counter({
  name: 'fraud_decisions_total',
  help: 'Payments decided, by outcome',
  labelNames: ['decision', 'degraded'],
  registers: [metrics],
})
export const steps = new Histogram({
  name: 'fraud_step_duration_seconds',
  help: 'Time of each step of a batch of decisions in seconds',
  labelNames: ['step'],
  buckets: [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1],
  registers: [metrics],
})

export const lockWait = new Histogram({
  name: 'fraud_lock_wait_seconds',
  help: 'Time until a batch of decisions holds the ids and accounts of its payments, in seconds',
  buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 10],
  registers: [metrics],
})

/** Measures a step of a batch. */
export const timed = async <T>(step: string, work: Promise<T>): Promise<T> => {
  const end = steps.startTimer({ step })
  try {
    return await work
  } finally {
    end()
  }
}
