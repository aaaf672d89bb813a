import type { ClientBase } from 'pg'
import { type Key, nameOfKey, type TileChange } from './ledger.js'
import type { Tile } from './tile.js'
import { decodeTruth, truthOf } from './truth.js'
import type { Truth } from './windows.js'

/** Most transactions that can decide at once, over all replicas. */
const MOST_LANES = 64
const LANES = 0x76_66_00_01

const LANE = `SELECT lane FROM generate_series(0, ${MOST_LANES - 1}) AS lane
  WHERE pg_try_advisory_xact_lock(${LANES}, lane) LIMIT 1`

/** Takes a lane that no other transaction holds, until the transaction ends; undefined where all are held. */
export async function takeLane(client: ClientBase): Promise<number | undefined> {
  const { rows } = await client.query<{ lane: number }>({ name: 'fraud-lane', text: LANE, values: [] })
  return rows[0]?.lane
}

/** A tile of one lane of a key, by the key's position among those asked for. */
export interface LaneTile extends Tile {
  n: number
  lane: number
  version: number
}

const columns = (keys: readonly Key[]) => [
  keys.map(({ tenant }) => tenant),
  keys.map(({ dimension }) => dimension),
  keys.map(({ key }) => key),
]

// Each key is looked up by itself (OFFSET 0): the cost does not depend on how many keys there are.
const TILES = `SELECT k.n::int AS n, t.lane, t.recent, t.past, t.version
  FROM unnest($1::text[], $2::smallint[], $3::text[]) WITH ORDINALITY AS k (tenant, dimension, key, n)
    CROSS JOIN LATERAL (SELECT * FROM fraud.tile
      WHERE tenant = k.tenant AND dimension = k.dimension AND key = k.key OFFSET 0) t`

/** The tiles of all lanes of some keys. */
export const readTiles = async (client: ClientBase, keys: readonly Key[]): Promise<LaneTile[]> =>
  (await client.query<LaneTile>({ name: 'fraud-tiles', text: TILES, values: columns(keys) })).rows

// The state of a busy key is large and changes seldom: it comes only when it is not the one that is known.
const TRUTHS = `SELECT k.n::int AS n, CASE WHEN t.version <> k.known THEN t.state END AS state, t.version
  FROM unnest($1::text[], $2::smallint[], $3::text[], $4::int[]) WITH ORDINALITY AS k (tenant, dimension, key, known, n)
    CROSS JOIN LATERAL (SELECT * FROM fraud.truth
      WHERE tenant = k.tenant AND dimension = k.dimension AND key = k.key OFFSET 0) t`

export interface KeyTruth {
  n: number
  state: Buffer
  version: number
}

interface Remembered {
  version: number
  truthAt: (at: number) => Truth
}
/** Truths of keys with many labels, the longest unused first. */
export type TruthMemory = Map<string, Remembered>
const MOST_REMEMBERED = 2_000
const LARGE = 1_000
/** No row has it: versions begin at a random number above, so that a table made anew is not taken for the old one. */
const UNKNOWN = -1

function remember(memory: TruthMemory, key: Key, known: Remembered): void {
  memory.delete(nameOfKey(key))
  memory.set(nameOfKey(key), known)
  for (const [oldest] of memory) {
    if (memory.size <= MOST_REMEMBERED) return
    memory.delete(oldest)
  }
}

/** What is known of the truth about some keys; nothing where there is no label. */
export async function readTruths(
  client: ClientBase,
  keys: readonly Key[],
  memory: TruthMemory,
): Promise<{ n: number; truthAt: (at: number) => Truth }[]> {
  const remembered = keys.map((key) => memory.get(nameOfKey(key)))
  const versions = remembered.map((known) => known?.version ?? UNKNOWN)
  const { rows } = await client.query<{ n: number; state: Buffer | null; version: number }>({
    name: 'fraud-truths',
    text: TRUTHS,
    values: [...columns(keys), versions],
  })
  return rows.map(({ n, state, version }) => {
    const known = state ? { version, truthAt: truthOf(decodeTruth(state)) } : remembered[n - 1]!
    if (!state || state.length > LARGE) remember(memory, keys[n - 1]!, known)
    return { n, truthAt: known.truthAt }
  })
}

const WRITE_TILES = `INSERT INTO fraud.tile AS t (tenant, dimension, key, lane, recent, past, version)
  SELECT tenant, dimension, key, $4, recent, past, version
  FROM unnest($1::text[], $2::smallint[], $3::text[], $5::bytea[], $6::bytea[], $7::int[])
    AS k (tenant, dimension, key, recent, past, version)
  ON CONFLICT (tenant, dimension, key, lane) DO UPDATE SET recent = EXCLUDED.recent,
    past = CASE WHEN EXCLUDED.version > t.version THEN EXCLUDED.past ELSE t.past END, version = EXCLUDED.version`

/** Writes tiles of the lane held. */
export const writeTiles = (client: ClientBase, lane: number, changes: readonly TileChange[]) =>
  client.query({
    name: 'fraud-write-tiles',
    text: WRITE_TILES,
    values: [
      ...columns(changes.map(({ key }) => key)),
      lane,
      changes.map(({ recent }) => recent),
      changes.map(({ past }) => past),
      changes.map(({ version }) => version),
    ],
  })

const COMPACT_ACCOUNTS = `UPDATE fraud.account a SET recent = '', past = k.past
  FROM unnest($1::text[], $2::text[], $3::bytea[]) AS k (tenant, user_id, past)
  WHERE a.tenant = k.tenant AND a.user_id = k.user_id`

/** Moves accounts' recent payments to their past; the transaction has locked the accounts already. */
export const compactAccounts = (
  client: ClientBase,
  accounts: readonly { tenant: string; userId: string; past: Buffer }[],
) =>
  client.query({
    name: 'fraud-compact',
    text: COMPACT_ACCOUNTS,
    values: [
      accounts.map(({ tenant }) => tenant),
      accounts.map(({ userId }) => userId),
      accounts.map(({ past }) => past),
    ],
  })

const ADD_TRUTHS = `INSERT INTO fraud.truth (tenant, dimension, key, state, version)
  SELECT tenant, dimension, key, $4, (random() * 1e9)::int FROM unnest($1::text[], $2::smallint[], $3::text[]) AS k (tenant, dimension, key)
  ORDER BY tenant, dimension, key ON CONFLICT DO NOTHING`
const LOCKED_TRUTHS = `SELECT k.n::int AS n, t.state, t.version
  FROM unnest($1::text[], $2::smallint[], $3::text[]) WITH ORDINALITY AS k (tenant, dimension, key, n)
    CROSS JOIN LATERAL (SELECT * FROM fraud.truth
      WHERE tenant = k.tenant AND dimension = k.dimension AND key = k.key FOR UPDATE) t
  ORDER BY k.n`

/**
 * What is known about some keys, locked until the transaction ends; `empty` for those of which nothing was. Two
 * transactions lock in one order: the keys must come sorted.
 */
export async function lockTruths(
  client: ClientBase,
  keys: readonly Key[],
  empty: Buffer,
): Promise<KeyTruth[]> {
  await client.query({ text: ADD_TRUTHS, values: [...columns(keys), empty] })
  const { rows } = await client.query<KeyTruth>({
    name: 'fraud-lock-truths',
    text: LOCKED_TRUTHS,
    values: columns(keys),
  })
  return rows
}

const WRITE_TRUTHS = `UPDATE fraud.truth t SET state = k.state, version = t.version + 1
  FROM unnest($1::text[], $2::smallint[], $3::text[], $4::bytea[]) AS k (tenant, dimension, key, state)
  WHERE t.tenant = k.tenant AND t.dimension = k.dimension AND t.key = k.key`

export const writeTruths = (client: ClientBase, keys: readonly Key[], states: readonly Buffer[]) =>
  client.query({ text: WRITE_TRUTHS, values: [...columns(keys), states] })
