import { Gauge, Histogram } from 'prom-client'
import { metrics, problems } from '#libs/platform'

const sizes = new Histogram({
  name: 'fraud_batch_size',
  help: 'Payments decided in one database transaction',
  buckets: [1, 2, 4, 8, 16, 32, 64, 128],
  registers: [metrics],
})
const depth = new Gauge({
  name: 'fraud_queue_depth',
  help: 'Payments that wait for a database transaction',
  registers: [metrics],
})

export interface BatchLimits {
  /** Database transactions under way at once. */
  lanes: number
  /** Most payments in one of them. */
  mostInBatch: number
  /** Most payments that may wait. */
  mostWaiting: number
}

interface Waiting<Item, Result> {
  item: Item
  resolve(result: Result): void
  reject(error: unknown): void
}

/** How one item of a batch ended. */
export type Ended<Result> = { result: Result } | { error: unknown }

/**
 * Lets work that arrives together share a database transaction. What arrives alone starts at the end of the event
 * loop's turn; while all lanes are busy the next batch gathers.
 */
export class Batcher<Item, Result> {
  private readonly waiting: Waiting<Item, Result>[] = []
  private busy = 0
  private scheduled = false

  constructor(
    private readonly limits: BatchLimits,
    /** Runs a batch and tells in its order how each item ended; must not reject. */
    private readonly run: (items: Item[]) => Promise<Ended<Result>[]>,
  ) {}

  /** Rejects with 503 where too much is waiting already: the caller is told when to come again. */
  submit(item: Item): Promise<Result> {
    if (this.waiting.length >= this.limits.mostWaiting)
      return Promise.reject(
        problems.unavailable({
          detail: 'Too many payments are waiting: try again',
          headers: { 'retry-after': '1' },
        }),
      )
    return new Promise((resolve, reject) => {
      this.waiting.push({ item, resolve, reject })
      depth.set(this.waiting.length)
      this.schedule()
    })
  }

  private schedule(): void {
    if (this.scheduled || this.busy >= this.limits.lanes || this.waiting.length === 0) return
    this.scheduled = true
    setImmediate(() => {
      this.scheduled = false
      void this.start()
      this.schedule()
    })
  }

  private async start(): Promise<void> {
    const batch = this.waiting.splice(0, this.limits.mostInBatch)
    if (batch.length === 0) return
    depth.set(this.waiting.length)
    sizes.observe(batch.length)
    this.busy++
    const ends = await this.run(batch.map(({ item }) => item)).catch((error: unknown) =>
      batch.map(() => ({ error })),
    )
    this.busy--
    this.schedule()
    for (const [at, end] of ends.entries()) {
      if ('error' in end) batch[at]!.reject(end.error)
      else batch[at]!.resolve(end.result)
    }
  }
}
