import type { ClientBase } from 'pg'
import type { Obstacle, Retention } from './retention.js'

const UTC = (column: string) => `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')`

interface DropRow {
  partition: string
  entries: string
  first_index: string | null
  last_index: string | null
  digest: string
  approval: string
  dropped_at: string
}

const numberOf = (text: string | null) => (text === null ? null : Number(text))

/** Periods, months with what keeps them, and what was dropped. */
export async function readRetention(client: ClientBase): Promise<Retention> {
  const classes = await client.query<Retention['classes'][number]>(
    'SELECT class, period::text FROM audit.retention_class ORDER BY class',
  )
  const months = await client.query<Retention['months'][number]>(
    `SELECT partition, ${UTC('from_time')} AS "from", ${UTC('to_time')} AS "to",
       ${UTC('audit.due_at(partition)')} AS due_at, audit.drop_obstacle(partition) AS obstacle FROM audit.months()`,
  )
  const dropped = await client.query<DropRow>(
    `SELECT partition, entries, first_index, last_index, encode(digest, 'hex') AS digest, approval,
       ${UTC('dropped_at')} AS dropped_at FROM audit.retention_drop ORDER BY partition`,
  )
  const minimum = await client.query<{ minimum: string }>('SELECT audit.minimum_index() AS minimum')
  return {
    classes: classes.rows,
    minimum_index: Number(minimum.rows[0]!.minimum),
    months: months.rows,
    dropped: dropped.rows.map((row) => ({
      ...row,
      entries: Number(row.entries),
      first_index: numberOf(row.first_index),
      last_index: numberOf(row.last_index),
    })),
  }
}

export async function obstacleTo(client: ClientBase, partition: string): Promise<Obstacle | null> {
  const { rows } = await client.query<{ obstacle: Obstacle | null }>(
    'SELECT audit.drop_obstacle($1) AS obstacle',
    [partition],
  )
  return rows[0]!.obstacle
}

/** What a month holds, exactly: the second person agrees to this, and the database drops nothing else. */
export async function factsOf(
  client: ClientBase,
  partition: string,
): Promise<Record<string, string | number>> {
  const { rows } = await client.query(
    `SELECT jsonb_build_object('entries', entries, 'first_index', first_index, 'last_index', last_index,
       'digest', encode(digest, 'hex')) AS facts FROM audit.month_facts($1)`,
    [partition],
  )
  return rows[0].facts
}

/** Counting and hashing a month takes longer than a request may. */
export const takeTime = async (client: ClientBase): Promise<void> =>
  void (await client.query(`SET LOCAL statement_timeout = '15min'`))

export async function dropMonth(
  client: ClientBase,
  { partition, tenant, approval }: { partition: string; tenant: string; approval: string },
): Promise<{
  entries: number
  first_index: number
  last_index: number
  digest: string
  minimum_index: number
}> {
  const { rows } = await client.query(
    `SELECT entries, first_index, last_index, encode(digest, 'hex') AS digest, minimum_index
     FROM audit.drop_month($1, $2, $3)`,
    [partition, tenant, approval],
  )
  const { digest, ...numbers } = rows[0]
  const [entries, first_index, last_index, minimum_index] = [
    'entries',
    'first_index',
    'last_index',
    'minimum_index',
  ].map((name) => Number(numbers[name])) as [number, number, number, number]
  return { entries, first_index, last_index, minimum_index, digest }
}
