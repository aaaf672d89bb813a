import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { inTransaction } from '#libs/platform'
import { factsOf } from '../../../apps/fraud/src/features/facts.js'
import { DIMENSIONS, keysOf, Ledger } from '../../../apps/fraud/src/features/ledger.js'
import { readTiles, readTruths } from '../../../apps/fraud/src/features/state.sql.js'
import type { Windows } from '../../../apps/fraud/src/features/windows.js'
import { rebuildWindows } from '../../../apps/fraud/src/history/rebuild.js'
import { Transaction } from '../../../apps/fraud/src/transactions/transaction.js'
import { createTestDatabase, type TestDatabase } from '../../../test/support/database.js'
import { fill } from './history.sql.js'
import { accountsOf, HOT_MERCHANT, payment } from './world.js'

const PAYMENTS = 6_000
let database: TestDatabase
let pool: pg.Pool

beforeAll(async () => {
  database = await createTestDatabase()
  pool = new pg.Pool({ connectionString: database.adminUrl, max: 1 })
})
afterAll(async () => {
  await pool?.end()
  await database?.drop()
})

/** What a payment sees in the state that is stored. */
async function windowsOf(transaction: Transaction): Promise<Windows> {
  const client = await pool.connect()
  try {
    const facts = factsOf(transaction)
    const tenant = 'default'
    const keys = keysOf([{ tenant, facts }], [DIMENSIONS.merchant, DIMENSIONS.place, DIMENSIONS.method])
    const truthKeys = keysOf([{ tenant, facts }], Object.values(DIMENSIONS))
    const tiles = await readTiles(client, keys)
    const truths = await readTruths(client, truthKeys, new Map())
    const ledger = new Ledger({ lane: 0, keys, tiles, truths, truthKeys })
    const { rows } = await client.query('SELECT recent, past FROM fraud.account WHERE user_id = $1', [
      facts.account,
    ])
    if (rows[0]) ledger.open(tenant, facts.account, rows[0])
    return ledger.windowsOf(tenant, facts)
  } finally {
    client.release()
  }
}

test('a history that is filled set by set leaves the windows that folding it payment by payment does', async () => {
  await inTransaction(pool, (client) => fill(client, 'product', PAYMENTS))
  const at = Date.now() + 60_000
  const payments = Array.from({ length: 40 }, (_, n) =>
    Transaction.parse({
      ...payment(`p-${n}`, at, accountsOf(PAYMENTS)),
      ...(n % 4 === 0 ? { merchant_id: HOT_MERCHANT } : {}),
    }),
  )
  const filled = await Promise.all(payments.map(windowsOf))
  await pool.query('TRUNCATE fraud.account, fraud.tile, fraud.truth')
  await pool.query('UPDATE fraud.rebuild SET needed = true')
  expect(await inTransaction(pool, rebuildWindows)).toBe(PAYMENTS)
  const folded = await Promise.all(payments.map(windowsOf))
  expect(filled.some((windows) => windows.account.totals[3]!.count > 10)).toBe(true)
  expect(filled.some((windows) => windows.truth.merchant.labelled > 0)).toBe(true)
  expect(filled).toEqual(folded)
})
