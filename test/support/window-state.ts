import type pg from 'pg'
import { accountRecord } from '../../apps/fraud/src/features/account.js'
import type { Facts } from '../../apps/fraud/src/features/facts.js'
import { keyOf, TILED } from '../../apps/fraud/src/features/ledger.js'
import { emptyTile, folded, tileWith } from '../../apps/fraud/src/features/tile.js'

/** What the state of windows holds, and what it should hold by the stored payments: equal by key, or it is wrong. */
export interface WindowState {
  stored: Map<string, string>
  recomputed: Map<string, string>
}

const RECORD = 30
const sorted = (records: string[]): string => records.sort().join(' ')
const split = (bytes: Buffer): string[] =>
  Array.from({ length: bytes.length / RECORD }, (_, at) =>
    bytes.subarray(at * RECORD, (at + 1) * RECORD).toString('hex'),
  )

/** The hours of a tile in one order: how they are spread over lanes and parts does not matter. */
function hoursOf(bytes: Buffer): string {
  const { past } = folded({ recent: bytes, past: Buffer.alloc(0) })
  const hours = Array.from({ length: past.length / 25 }, (_, at) =>
    past.subarray(at * 25, (at + 1) * 25).toString('hex'),
  )
  return sorted(hours)
}

async function storedState(client: pg.Client): Promise<Map<string, string>> {
  const state = new Map<string, string>()
  const accounts = await client.query('SELECT tenant, user_id, past || recent AS bytes FROM fraud.account')
  for (const { tenant, user_id, bytes } of accounts.rows)
    state.set(`0 ${tenant} ${user_id}`, sorted(split(bytes)))
  const tiles = await client.query(
    `SELECT tenant, dimension, key, string_agg(past || recent, '') AS bytes FROM fraud.tile GROUP BY 1, 2, 3`,
  )
  for (const { tenant, dimension, key, bytes } of tiles.rows)
    state.set(`${dimension} ${tenant} ${key}`, hoursOf(bytes))
  return state
}

async function recomputedState(client: pg.Client): Promise<Map<string, string>> {
  const { rows } = await client.query<Omit<Facts, 'at'> & { at: Date; tenant: string }>(
    `SELECT tenant, user_id AS account, merchant_id AS merchant, payment_method AS method, cell,
       amount_minor::float8 AS minor, currency, event_ts AS at, latitude, longitude FROM fraud.transaction`,
  )
  const accounts = new Map<string, string[]>()
  const tiles = new Map<string, Buffer>()
  for (const { tenant, at, ...rest } of rows) {
    const facts = { ...rest, at: at.getTime() }
    const name = `0 ${tenant} ${facts.account}`
    accounts.set(name, [...(accounts.get(name) ?? []), accountRecord(facts).toString('hex')])
    for (const dimension of TILED) {
      const key = keyOf(tenant, dimension, facts)
      if (!key) continue
      const tile = `${dimension} ${tenant} ${key.key}`
      tiles.set(tile, tileWith(tiles.get(tile) ?? emptyTile().recent, facts))
    }
  }
  return new Map([
    ...[...accounts].map(([key, records]): [string, string] => [key, sorted(records)]),
    ...[...tiles].map(([key, bytes]): [string, string] => [key, hoursOf(bytes)]),
  ])
}

/** Reads both; for histories that lie within what windows remember. */
export const windowState = async (client: pg.Client): Promise<WindowState> => ({
  stored: await storedState(client),
  recomputed: await recomputedState(client),
})
