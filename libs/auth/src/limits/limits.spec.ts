import { expect, test } from 'vitest'
import { createLogger } from '#libs/platform'
import { Principal } from '../principal.js'
import { DEFAULT_BUDGETS } from './budgets.js'
import { Limits } from './limits.js'

const caller = new Principal({
  ...{ type: 'client', issuer: 'i', subject: 'c', clientId: 'c', tenant: 't', scopes: [] },
})
const visit = { method: 'POST', route: '/api/v1/transactions/batch', address: '192.0.2.1', caller }

/** Budgets over a counter whose windows last 200 ms. */
function limits(transactions: number): Limits {
  let window = { ends: 0, consumed: 0 }
  const store = {
    take: async (_key: string, points: number) => {
      if (Date.now() >= window.ends) window = { ends: Date.now() + 200, consumed: 0 }
      window.consumed += points
      return { consumed: window.consumed, msLeft: window.ends - Date.now() }
    },
    close: async () => undefined,
  }
  const clients = { limitOf: () => undefined, close: async () => undefined }
  const options = { service: 'fraud', budgets: { ...DEFAULT_BUDGETS, transactions } } as const
  return new Limits({ ...options, logger: createLogger('fraud', 'silent') }, store, clients)
}

test('the lines of a batch wait for the next window instead of being refused', async () => {
  const own = limits(10)
  const windows = new Set<number>()
  const begin = Date.now()
  for (let line = 0; line < 25; line++) {
    await own.admit(visit, new AbortController().signal)
    windows.add(Math.floor((Date.now() - begin) / 200))
  }
  expect(windows.size).toBeGreaterThanOrEqual(3)
})

test('a batch that waits ends when the service stops', async () => {
  const own = limits(1)
  const stopping = new AbortController()
  await own.admit(visit, stopping.signal)
  const waiting = own.admit(visit, stopping.signal)
  stopping.abort()
  await expect(waiting).rejects.toMatchObject({ status: 503 })
})
