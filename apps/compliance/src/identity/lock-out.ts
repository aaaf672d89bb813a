/** Failures in a row, by account or by address. */
export interface Attempts {
  failures: number
  lastAt: number
  lockedUntil: number
}

/** How many failures are free, and how the wait grows after them. */
export interface LockOut {
  free: number
  firstWaitMs: number
  longestWaitMs: number
  /** After this long without a failure the count begins anew. */
  forgetMs: number
}

const MINUTE = 60_000

/** An account: five failures, then half a minute, doubling to fifteen. */
export const ACCOUNT_LOCK_OUT: LockOut = {
  free: 5,
  firstWaitMs: MINUTE / 2,
  longestWaitMs: 15 * MINUTE,
  forgetMs: 60 * MINUTE,
}

/** An address may be a whole office: four times as many. */
export const ADDRESS_LOCK_OUT: LockOut = { ...ACCOUNT_LOCK_OUT, free: 20 }

const NONE: Attempts = { failures: 0, lastAt: 0, lockedUntil: 0 }

/** Whether an attempt may be made, and what is remembered if it fails: counted before the password is looked at. */
export function attempt(
  before: Attempts | undefined,
  now: number,
  rules: LockOut,
): { allowed: boolean; after: Attempts } {
  const known = before && now - before.lastAt < rules.forgetMs ? before : NONE
  if (now < known.lockedUntil) return { allowed: false, after: known }
  const failures = known.failures + 1
  const wait = Math.min(rules.firstWaitMs * 2 ** Math.max(0, failures - rules.free), rules.longestWaitMs)
  const lockedUntil = failures >= rules.free ? now + wait : 0
  return { allowed: true, after: { failures, lastAt: now, lockedUntil } }
}
