/** What a shared counter says after it counted: all points taken in the window so far, and how long that still is. */
export interface Count {
  consumed: number
  msLeft: number
}

/** Counts points of a key in windows of `WINDOW_MS`, for all replicas together. Rejects when it cannot. */
export interface Counter {
  take(key: string, points: number): Promise<Count>
}

export const WINDOW_MS = 60_000

/** Whether a request may go on, what is left of its budget, and when (ms of the epoch) the window ends. */
export interface Verdict {
  allowed: boolean
  remaining: number
  resetAt: number
}

/** Points of the shared budget that this replica has taken and not yet spent. They end with their window. */
interface Lease {
  left: number
  /** What nobody had taken when the counter last answered. */
  untaken: number
  resetAt: number
  /** The counter had no more to give in this window. */
  exhausted: boolean
  /** Points that requests wait for. */
  wanted: number
  refill?: Promise<void>
}

/** Points to take at once: 1 % of the budget, so that asking costs a hundred round trips a window and replica. */
export const blockOf = (limit: number): number => Math.max(1, Math.floor(limit / 100))

/** How many of `asked` points were still within the limit, when the counter stands at `consumed` with them. */
const granted = (limit: number, asked: number, consumed: number): number =>
  Math.min(asked, Math.max(0, limit - (consumed - asked)))

const MAX_KEYS = 100_000

/**
 * Spends budgets that replicas share, without a round trip for each request: points are taken from the counter in
 * blocks, in the background, and spent here. Never more than the limit is spent in a window of the counter; what other
 * replicas hold unspent may be refused to this one: at most 1.5 blocks (1.5 % of the limit) for each of them.
 */
export class LeasedLimiter {
  private readonly leases = new Map<string, Lease>()

  constructor(
    private readonly counter: Counter,
    private readonly now: () => number = Date.now,
  ) {}

  /** The verdict at once where points are at hand, which is nearly always. Rejects as the counter does. */
  spend(key: string, limit: number, points = 1): Verdict | Promise<Verdict> {
    const lease = this.leaseOf(key)
    const verdict = this.decide(lease, points)
    if (!verdict) return this.wait(key, lease, limit, points)
    const block = blockOf(limit)
    const isLow = lease.left < block / 2 && !lease.exhausted && block > 1
    // Failing here costs nothing yet: whoever finds the lease empty asks again and hears of it.
    if (isLow && !lease.refill) void this.refill(key, lease, limit).catch(() => undefined)
    return verdict
  }

  private leaseOf(key: string): Lease {
    const known = this.leases.get(key)
    if (known) return known
    const lease: Lease = { left: 0, untaken: 0, resetAt: 0, exhausted: false, wanted: 0 }
    this.leases.set(key, lease)
    if (this.leases.size > MAX_KEYS) this.leases.delete(this.leases.keys().next().value!)
    return lease
  }

  private decide(lease: Lease, points: number): Verdict | undefined {
    if (this.now() >= lease.resetAt) Object.assign(lease, { left: 0, exhausted: false })
    const allowed = lease.left >= points
    if (!allowed && !lease.exhausted) return undefined
    if (allowed) lease.left -= points
    return { allowed, remaining: lease.left + lease.untaken, resetAt: lease.resetAt }
  }

  private async wait(key: string, lease: Lease, limit: number, points: number): Promise<Verdict> {
    lease.wanted += points
    try {
      for (;;) {
        await (lease.refill ?? this.refill(key, lease, limit))
        const verdict = this.decide(lease, points)
        if (verdict) return verdict
      }
    } finally {
      lease.wanted -= points
    }
  }

  private refill(key: string, lease: Lease, limit: number): Promise<void> {
    const sentAt = this.now()
    const asked = Math.max(blockOf(limit), lease.wanted)
    lease.refill = this.counter
      .take(key, asked)
      .then(({ consumed, msLeft }) => {
        const resetAt = sentAt + msLeft
        // Points of a window that has ended meanwhile are gone with it.
        if (resetAt - lease.resetAt > WINDOW_MS / 2) lease.left = 0
        const points = granted(limit, asked, consumed)
        lease.left += points
        lease.untaken = Math.max(0, limit - consumed)
        lease.resetAt = resetAt
        lease.exhausted = points < asked
      })
      .finally(() => {
        lease.refill = undefined
      })
    return lease.refill
  }
}
