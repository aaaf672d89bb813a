import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { Guard, GuardError, type GuardSettings, type GuardState } from './guard.js'

const guardWith = (changes: Partial<GuardSettings> = {}) => {
  const states: GuardState[] = []
  const guard = new Guard({
    name: 'model',
    timeoutMs: 100,
    concurrency: 2,
    waiting: 1,
    failures: 3,
    recoverMs: 1_000,
    onState: (state) => states.push(state),
    ...changes,
  })
  return { guard, states }
}

/** A dependency that hangs until it is let go. */
function hanging() {
  const waiting: (() => void)[] = []
  const call = () => new Promise<string>((done) => waiting.push(() => done('late')))
  return { call, waiting, release: () => waiting.splice(0).forEach((done) => void done()) }
}

const refusal = (promise: Promise<unknown>) =>
  promise.then(
    () => 'answered',
    (error) => (error instanceof GuardError ? error.refusal : 'thrown'),
  )

/** Everything that is due now and after so many milliseconds. */
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)

describe('a guard', () => {
  test('hands on what the work answers and throws', async () => {
    const { guard } = guardWith()
    await expect(guard.run(async () => 7)).resolves.toBe(7)
    await expect(guard.run(() => Promise.reject(new Error('odd')))).rejects.toThrow('odd')
    expect(guard.state).toBe('closed')
  })

  test('gives up what hangs, lets no more than its share hang, and works again by itself', async () => {
    vi.useFakeTimers()
    try {
      const { guard, states } = guardWith()
      const dependency = hanging()
      const calls = Promise.all([1, 2, 3, 4].map(() => refusal(guard.run(dependency.call))))
      await pass(100)
      expect(await calls).toEqual(['timeout', 'timeout', 'timeout', 'full'])
      expect(dependency.waiting).toHaveLength(2)
      expect(guard.state).toBe('open')
      expect(await refusal(guard.run(dependency.call))).toBe('open')

      await pass(1_000)
      const probe = refusal(guard.run(dependency.call))
      expect(await refusal(guard.run(dependency.call))).toBe('open')
      await pass(100)
      expect(await probe).not.toBe('answered')
      expect(dependency.waiting).toHaveLength(2)

      dependency.release()
      await pass(1_000)
      expect(await guard.run(async () => 'well')).toBe('well')
      expect(guard.state).toBe('closed')
      expect(states).toEqual(['open', 'half-open', 'open', 'half-open', 'closed'])
    } finally {
      vi.useRealTimers()
    }
  })

  test('errors that are no failure of the dependency do not open it', async () => {
    const { guard } = guardWith({ counts: (error) => !(error instanceof RangeError) })
    for (let n = 0; n < 10; n++) await refusal(guard.run(() => Promise.reject(new RangeError())))
    expect(guard.state).toBe('closed')
    for (let n = 0; n < 3; n++) await refusal(guard.run(() => Promise.reject(new Error())))
    expect(guard.state).toBe('open')
  })

  test('tells the work when nobody waits any more', async () => {
    const { guard } = guardWith({ timeoutMs: 5 })
    let signal: AbortSignal | undefined
    await refusal(
      guard.run((given) => {
        signal = given
        return new Promise(() => undefined)
      }),
    )
    expect(signal?.aborted).toBe(true)
  })

  test('never has more calls under way than it may, whatever they do', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ ms: fc.integer({ min: 0, max: 4 }), fails: fc.boolean() }), { maxLength: 30 }),
        fc.integer({ min: 1, max: 4 }),
        async (calls, concurrency) => {
          const { guard } = guardWith({ concurrency, waiting: 5, timeoutMs: 3, recoverMs: 2 })
          let active = 0
          let most = 0
          const work = ({ ms, fails }: { ms: number; fails: boolean }) =>
            guard.run(async () => {
              most = Math.max(most, ++active)
              await new Promise((done) => setTimeout(done, ms))
              active--
              if (fails) throw new Error()
            })
          await Promise.all(calls.map((call) => refusal(work(call))))
          expect(most).toBeLessThanOrEqual(concurrency)
        },
      ),
      { numRuns: 40 },
    )
  })
})
