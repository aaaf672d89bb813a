import {
  BrokenCircuitError,
  type BulkheadPolicy,
  BulkheadRejectedError,
  bulkhead,
  type CircuitBreakerPolicy,
  CircuitState,
  ConsecutiveBreaker,
  circuitBreaker,
  handleWhen,
  TaskCancelledError,
  type TimeoutPolicy,
  TimeoutStrategy,
  timeout,
} from 'cockatiel'

export interface GuardSettings {
  /** What is guarded, in a word, for messages and metrics: never an address or a key. */
  name: string
  /** A call that takes longer is given up, in milliseconds. */
  timeoutMs: number
  /** Calls at once, and how many may wait for one to end. */
  concurrency: number
  waiting: number
  /** Failures in a row that open the breaker. */
  failures: number
  /** Wait before an open breaker lets one call through to see, in milliseconds. */
  recoverMs: number
  /** Which errors say that the guarded is failing; by default all. */
  counts?: (error: unknown) => boolean
  /** Told of every change. */
  onState?: (state: GuardState) => void
  /** Told of every call that was refused or given up. */
  onRefusal?: (refusal: Refusal) => void
}

export type GuardState = 'closed' | 'half-open' | 'open'
export type Refusal = 'timeout' | 'open' | 'full'

const REASONS: Record<Refusal, string> = {
  timeout: 'did not answer in time',
  open: 'failed repeatedly and is given a rest',
  full: 'has too many calls waiting',
}

/** The guarded call was not made, or not waited for. */
export class GuardError extends Error {
  override readonly name = 'GuardError'
  constructor(
    readonly guarded: string,
    readonly refusal: Refusal,
  ) {
    super(`the ${guarded} ${REASONS[refusal]}`)
  }
}

function refusalOf(error: unknown): Refusal | undefined {
  if (error instanceof BrokenCircuitError) return 'open'
  if (error instanceof BulkheadRejectedError) return 'full'
  return error instanceof TaskCancelledError ? 'timeout' : undefined
}

/** A full bulkhead is load, not failure; but behind a breaker it means that nothing has come back yet. */
const isFailure = (error: unknown, state: GuardState, counts: (error: unknown) => boolean): boolean => {
  if (error instanceof BulkheadRejectedError) return state !== 'closed'
  return error instanceof TaskCancelledError || counts(error)
}

const STATES: Partial<Record<CircuitState, GuardState>> = {
  [CircuitState.Closed]: 'closed',
  [CircuitState.HalfOpen]: 'half-open',
}

/**
 * Time-out, breaker and bulkhead around one dependency. The bulkhead is innermost: work that cannot be aborted keeps
 * its place until it really ends, so that a hanging dependency holds at most `concurrency` calls, whoever gave up.
 */
export class Guard {
  private readonly breaker: CircuitBreakerPolicy
  private readonly timeout: TimeoutPolicy
  private readonly bulkhead: BulkheadPolicy

  constructor(private readonly settings: GuardSettings) {
    const { timeoutMs, concurrency, waiting, failures, recoverMs, counts = () => true, onState } = settings
    this.breaker = circuitBreaker(
      handleWhen((error) => isFailure(error, this.state, counts)),
      {
        breaker: new ConsecutiveBreaker(failures),
        halfOpenAfter: recoverMs,
      },
    )
    this.timeout = timeout(timeoutMs, { strategy: TimeoutStrategy.Aggressive, abortOnReturn: false })
    this.bulkhead = bulkhead(concurrency, waiting)
    this.breaker.onStateChange((state) => onState?.(STATES[state] ?? 'open'))
  }

  get state(): GuardState {
    return STATES[this.breaker.state] ?? 'open'
  }

  /** Runs the work; throws GuardError where it was refused or given up, else what the work throws. */
  async run<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    // One call finds out whether it works again. The breaker would let the others wait for it.
    if (this.state === 'half-open') throw this.refuse('open')
    try {
      return await this.breaker.execute(() =>
        this.timeout.execute(({ signal }) => this.bulkhead.execute(() => work(signal), signal)),
      )
    } catch (error) {
      const refusal = refusalOf(error)
      throw refusal ? this.refuse(refusal) : error
    }
  }

  private refuse(refusal: Refusal): GuardError {
    this.settings.onRefusal?.(refusal)
    return new GuardError(this.settings.name, refusal)
  }
}
