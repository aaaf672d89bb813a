import type { ClientBase } from 'pg'
import { problems } from '#libs/platform'
import { accountRecord, compacted } from './account.js'
import type { Facts } from './facts.js'
import { DIMENSIONS, keysOf, Ledger } from './ledger.js'
import { compactAccounts, readTiles, takeLane, writeTiles } from './state.sql.js'

// Long accounts alone come back: those are moved to their past.
const APPEND = `
  INSERT INTO fraud.account AS a (tenant, user_id, recent)
  SELECT tenant, user_id, string_agg(record, '' ORDER BY n)
  FROM unnest($1::text[], $2::text[], $3::bytea[]) WITH ORDINALITY AS k (tenant, user_id, record, n)
  GROUP BY tenant, user_id ORDER BY tenant, user_id
  ON CONFLICT (tenant, user_id) DO UPDATE SET recent = a.recent || EXCLUDED.recent
  RETURNING tenant, user_id AS "userId", CASE WHEN octet_length(a.recent) > 960 THEN recent END AS recent,
    CASE WHEN octet_length(a.recent) > 960 THEN past END AS past`

interface Appended {
  tenant: string
  userId: string
  recent: Buffer | null
  past: Buffer | null
}

/** Adds payments of the past to windows, in the order in which they are given, without deciding them. */
export async function foldPayments(
  client: ClientBase,
  payments: readonly { tenant: string; facts: Facts }[],
): Promise<void> {
  if (payments.length === 0) return
  const { rows } = await client.query<Appended>({
    name: 'fraud-append',
    text: APPEND,
    values: [
      payments.map(({ tenant }) => tenant),
      payments.map(({ facts }) => facts.account),
      payments.map(({ facts }) => accountRecord(facts)),
    ],
  })
  const long = rows.filter((row) => row.recent !== null) as (Appended & { recent: Buffer; past: Buffer })[]
  await compactAccounts(
    client,
    long.map((row) => ({ ...row, past: compacted(row).past })),
  )
  const lane = await takeLane(client)
  if (lane === undefined) throw problems.unavailable({ detail: 'Too many decisions are under way' })
  const keys = keysOf(payments, [DIMENSIONS.merchant, DIMENSIONS.place, DIMENSIONS.method])
  const tiles = await readTiles(client, keys)
  const ledger = new Ledger({ lane, keys, tiles, truths: [], truthKeys: [] })
  for (const { tenant, facts } of payments) ledger.count(tenant, facts)
  await writeTiles(client, lane, ledger.changes())
}
