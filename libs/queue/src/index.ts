export { migrateQueue } from './migrate.js'
export { Outbox } from './outbox.js'
export { JobChannel, type JobStanding, openQueue, type QueueSettings } from './queue.js'
export { GiveUp, type WorkOptions } from './worker.js'
