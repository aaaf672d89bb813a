import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { blockOf, type Counter, LeasedLimiter, type Verdict, WINDOW_MS } from './lease.js'

/** A clock that tests move, and the fixed windows of a counter that begins one with the first point taken. */
class Shared implements Counter {
  now = 1_000_000
  consumed = 0
  window = 0
  trips = 0
  private resetAt = 0

  constructor(private readonly latencyMs = 0) {}

  turn(): void {
    if (this.now < this.resetAt) return
    this.window += 1
    this.consumed = 0
    this.resetAt = this.now + WINDOW_MS
  }

  async take(_key: string, points: number) {
    this.trips += 1
    this.now += this.latencyMs
    this.turn()
    this.consumed += points
    const count = { consumed: this.consumed, msLeft: this.resetAt - this.now }
    await Promise.resolve()
    this.now += this.latencyMs
    return count
  }
}

const step = fc.record({
  replica: fc.nat(7),
  burst: fc.integer({ min: 1, max: 40 }),
  after: fc.oneof(fc.constant(0), fc.nat(500), fc.nat(30_000)),
})
const setting = fc.record({
  replicas: fc.integer({ min: 1, max: 8 }),
  limit: fc.oneof(fc.integer({ min: 1, max: 99 }), fc.integer({ min: 100, max: 2_000 })),
  latencyMs: fc.nat(40),
  steps: fc.array(step, { minLength: 1, maxLength: 120 }),
})

describe('a budget that replicas share by leases', () => {
  test('is never overspent in a window, and a refusal means that the others hold the rest', async () => {
    await fc.assert(
      fc.asyncProperty(setting, async ({ replicas, limit, latencyMs, steps }) => {
        const shared = new Shared(latencyMs)
        const limiters = Array.from({ length: replicas }, () => new LeasedLimiter(shared, () => shared.now))
        const admitted = new Map<number, number>()
        for (const { replica, burst, after } of steps) {
          shared.now += after
          const limiter = limiters[replica % replicas]!
          const verdicts: Verdict[] = []
          const note = (verdict: Verdict) => {
            verdicts.push(verdict)
            if (!verdict.allowed) return
            shared.turn()
            admitted.set(shared.window, (admitted.get(shared.window) ?? 0) + 1)
          }
          const answers = Array.from({ length: burst }, () => {
            const verdict = limiter.spend('key', limit)
            return verdict instanceof Promise ? verdict.then(note) : note(verdict)
          })
          await Promise.all(answers)
          expect(verdicts).toHaveLength(burst)
          const spent = admitted.get(shared.window) ?? 0
          expect(spent).toBeLessThanOrEqual(limit)
          const refused = verdicts.some(({ allowed }) => !allowed)
          const heldElsewhere = (replicas - 1) * 1.5 * blockOf(limit)
          // A refusal may be of the window that has just ended.
          if (refused && verdicts.every(({ resetAt }) => resetAt > shared.now))
            expect(spent).toBeGreaterThanOrEqual(limit - heldElsewhere)
        }
      }),
      { numRuns: 300 },
    )
  })

  test('alone, a client gets exactly its limit, and all of it again in the next window', async () => {
    for (const limit of [1, 7, 60, 500, 12_345]) {
      const shared = new Shared()
      const limiter = new LeasedLimiter(shared, () => shared.now)
      for (let window = 0; window < 3; window++) {
        let allowed = 0
        for (let at = 0; at < limit + 50; at++) if ((await limiter.spend('a', limit)).allowed) allowed += 1
        expect(allowed).toBe(limit)
        shared.now += WINDOW_MS
      }
    }
  })

  test('costs about a hundred round trips, however much is spent', async () => {
    const shared = new Shared()
    const limiter = new LeasedLimiter(shared, () => shared.now)
    let waits = 0
    for (let at = 0; at < 600_000; at++) {
      const verdict = limiter.spend('a', 600_000)
      if (!(verdict instanceof Promise)) {
        // Lets the refill in the background arrive, as the event loop of a server would.
        if (at % 1_000 === 0) await Promise.resolve().then(() => undefined)
        continue
      }
      waits += 1
      await verdict
    }
    expect(shared.trips).toBeLessThanOrEqual(102)
    expect(waits).toBeLessThanOrEqual(2)
  })

  test('a crowd that comes first is served by one round trip', async () => {
    const shared = new Shared()
    const limiter = new LeasedLimiter(shared, () => shared.now)
    const verdicts = await Promise.all(Array.from({ length: 300 }, () => limiter.spend('a', 1_000)))
    expect(verdicts.every(({ allowed }) => allowed)).toBe(true)
    expect(shared.trips).toBeLessThanOrEqual(3)
  })

  test('keys do not touch each other; several points are charged at once or not at all', async () => {
    const shared = [new Shared(), new Shared()]
    const limiter = new LeasedLimiter(
      { take: (key, points) => shared[Number(key)]!.take(key, points) },
      () => 0,
    )
    expect((await limiter.spend('0', 10, 8)).allowed).toBe(true)
    expect((await limiter.spend('0', 10, 5)).allowed).toBe(false)
    expect((await limiter.spend('1', 10, 10)).allowed).toBe(true)
    expect((await limiter.spend('1', 10, 11)).allowed).toBe(false)
  })

  test('a counter that fails is the failure of whoever had to wait for it', async () => {
    const limiter = new LeasedLimiter({ take: () => Promise.reject(new Error('away')) })
    await expect(Promise.resolve(limiter.spend('a', 10))).rejects.toThrow('away')
  })
})
