import { Counter, Gauge, Histogram } from 'prom-client'
import { metrics } from '#libs/platform'

export const imagesTotal = new Counter({
  name: 'imaging_images_total',
  help: 'Images by what became of them',
  labelNames: ['status'],
  registers: [metrics],
})

export const stepDuration = new Histogram({
  name: 'imaging_step_duration_seconds',
  help: 'Duration of the steps of the pipeline in seconds',
  labelNames: ['step', 'outcome'],
  buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120],
  registers: [metrics],
})

export const queueDepth = new Gauge({
  name: 'imaging_queue_jobs',
  help: 'Jobs of the imaging queue by state',
  labelNames: ['state'],
  registers: [metrics],
})
