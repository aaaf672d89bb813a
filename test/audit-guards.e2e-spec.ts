import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type AuditEntry, appendAudit, sequenceBatch } from '#libs/audit'
import { createPool, newId } from '#libs/platform'
import { createTestDatabase, type Role, type TestDatabase } from './support/database.js'

const ROLES = ['vigil_fraud', 'vigil_imaging', 'vigil_compliance', 'vigil_sequencer'] as const
const entry = (id?: string): AuditEntry => ({
  ...(id ? { id } : {}),
  tenant: 'default',
  service: 'fraud',
  actor: { type: 'client', id: 'payments' },
  action: 'TRANSACTION_DECIDED',
  outcome: 'success',
  correlationId: newId(),
})

let database: TestDatabase
let admin: pg.Client
let sequencing: pg.Pool
let relations: string[]
const clients: pg.Client[] = []

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  clients.push(client)
  return client
}

beforeAll(async () => {
  database = await createTestDatabase()
  admin = await connect(database.adminUrl)
  sequencing = createPool(database.url('vigil_sequencer'), { applicationName: 'test', max: 2 })
  const app = await connect(database.url('vigil_fraud'))
  for (let at = 0; at < 300; at++) await appendAudit(app, entry())
  await sequenceBatch(sequencing)
  await admin.query(`INSERT INTO audit.checkpoint (size, root, note) VALUES (300, sha256(''), 'note')`)
  await admin.query(`INSERT INTO audit.cosignature VALUES (300, 'w', E'\\u2014 w AAAA\\n')`)
  await appendAudit(app, entry())
  const { rows } = await admin.query<{ name: string }>(
    `SELECT 'audit.entry' AS name UNION ALL
     SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'audit.entry'::regclass`,
  )
  relations = rows.map(({ name }) => name)
  // One entry in every partition: a guard of rows says nothing of a table without any.
  await admin.query(
    `INSERT INTO audit.entry (id, recorded_at, tenant, service, actor_type, actor_id, action, outcome, correlation_id, body)
     SELECT gen_random_uuid(), date_trunc('month', now()) + make_interval(months => m, days => 5), 'd', 's', 'c', 'a', 'X',
       'success', gen_random_uuid(), 'x' FROM unnest(ARRAY[-1, 1, 2, 3]) m`,
  )
})
afterAll(async () => {
  await sequencing?.end()
  await Promise.all(clients.map((client) => client.end()))
  await database?.drop()
})

/** What must not happen to the parent, to each partition, to leaves and checkpoints. */
const attempts = () => {
  const tables = [
    ...relations,
    'audit.leaf',
    'audit.checkpoint',
    'audit.cosignature',
    'audit.tile',
    'audit.tree_state',
  ]
  return tables.flatMap((name) => [
    ...(name === 'audit.tile' || name === 'audit.tree_state'
      ? []
      : [`UPDATE ${name} SET ${anyColumn(name)}`]),
    `DELETE FROM ${name}`,
    `TRUNCATE ${name} CASCADE`,
  ])
}
const anyColumn = (name: string) =>
  name === 'audit.leaf'
    ? 'log_index = log_index + 1'
    : name === 'audit.checkpoint'
      ? `note = 'forged'`
      : name === 'audit.cosignature'
        ? `witness = 'forged'`
        : `outcome = 'denied'`

test('there are partitions for this month and the three to come', () => {
  expect(relations.length).toBeGreaterThanOrEqual(1 + 4 + 1)
})

describe.each(ROLES)('%s', (role: Role) => {
  test('is refused every change of parent, partitions, leaves, tiles and checkpoints', async () => {
    const client = await connect(database.url(role))
    const more = relations.flatMap((name) => [
      `ALTER TABLE ${name} DISABLE TRIGGER ALL`,
      `ALTER TABLE ${name} DETACH PARTITION ${name}`,
      `DROP TABLE ${name}`,
      `INSERT INTO ${name} (id, recorded_at, tenant, service, actor_type, actor_id, action, outcome, correlation_id, body)
       VALUES (gen_random_uuid(), '2020-01-01', 'd', 's', 'c', 'a', 'X', 'success', gen_random_uuid(), 'x')`,
    ])
    const others = [
      'SET session_replication_role = replica',
      'SET ROLE vigil_owner',
      'INSERT INTO audit.pending (entry_id, recorded_at, leaf_hash) VALUES (gen_random_uuid(), now(), sha256($$x$$))',
      'DELETE FROM audit.pending',
      'TRUNCATE audit.pending',
      `INSERT INTO audit.leaf VALUES (9999, gen_random_uuid(), now(), sha256('x'))`,
      'UPDATE audit.tree_state SET size = size + 1',
      'CREATE OR REPLACE FUNCTION audit.append(entry_id uuid, entry text) RETURNS timestamptz LANGUAGE sql AS $$ SELECT now() $$',
      'CREATE TABLE audit.mine (a int)',
      'SELECT audit.keep_guards_awake()',
      'SELECT audit.guard_partition($$entry_default$$)',
    ]
    for (const sql of [...attempts(), ...more, ...others])
      await expect(client.query(sql), sql).rejects.toThrow(/permission denied|must be owner/)
  })
})

test('vigil_audit_reader, the role that only looks, is refused the same', async () => {
  const client = await connect(database.adminUrl)
  await client.query('SET ROLE vigil_audit_reader')
  for (const sql of [
    ...attempts(),
    'SELECT audit.append(gen_random_uuid(), $${}$$)',
    'SELECT audit.place_pending(1)',
  ])
    await expect(client.query(sql), sql).rejects.toThrow(/permission denied/)
  await expect(client.query('SELECT count(*) FROM audit.entry')).resolves.toBeDefined()
})

describe('the owner, and the superuser', () => {
  test.each(['', 'SET ROLE vigil_owner', 'SET session_replication_role = replica'])(
    'are stopped by the guards: %s',
    async (before) => {
      const client = await connect(database.adminUrl)
      if (before) await client.query(before)
      for (const sql of attempts())
        await expect(client.query(sql), sql).rejects.toThrow(/append-only|can only grow/)
    },
  )

  test('cannot make the tree smaller or rewrite a tile, only let both grow', async () => {
    const refused = [
      'UPDATE audit.tree_state SET size = size - 1',
      `UPDATE audit.tile SET hashes = sha256('x') WHERE level = 0 AND n = 0`,
      `UPDATE audit.tile SET hashes = substr(hashes, 1, 32) WHERE level = 0 AND n = 1`,
      'UPDATE audit.tile SET n = 7 WHERE level = 0 AND n = 1',
    ]
    for (const sql of refused) await expect(admin.query(sql), sql).rejects.toThrow(/can only grow/)
    await admin.query('BEGIN')
    await admin.query(`UPDATE audit.tile SET hashes = hashes || sha256('x') WHERE level = 0 AND n = 1`)
    await admin.query('ROLLBACK')
  })
})

describe('appending', () => {
  test('cannot be dated: the time is the database clock, within the same moment', async () => {
    const app = await connect(database.url('vigil_fraud'))
    const id = newId()
    const body = `{"action":"X","actor":{"id":"a","type":"system"},"correlation_id":"${id}","id":"${id}","outcome":"success","recorded_at":"2001-01-01T00:00:00Z","service":"fraud","tenant":"default"}`
    await app.query('SELECT audit.append($1, $2)', [id, body])
    const { rows } = await admin.query(
      `SELECT abs(extract(epoch FROM clock_timestamp() - recorded_at)) < 60 AS now,
         (convert_from(body, 'UTF8')::jsonb ->> 'recorded_at')::timestamptz = recorded_at AS said
       FROM audit.entry WHERE id = $1`,
      [id],
    )
    expect(rows).toEqual([{ now: true, said: true }])
  })

  test('refuses an id that was used, waiting or placed; the sequencer goes on', async () => {
    const app = await connect(database.url('vigil_fraud'))
    const id = newId()
    await appendAudit(app, entry(id))
    await expect(appendAudit(app, entry(id))).rejects.toThrow(/duplicate key|of this id/)
    await sequenceBatch(sequencing)
    await expect(appendAudit(app, entry(id))).rejects.toThrow(/has an entry of this id/)
    await appendAudit(app, entry())
    expect(await sequenceBatch(sequencing)).toBe(1)
  })

  test('goes on when a month has no partition, and the month is left where it is', async () => {
    const names = relations.filter((name) => /entry_\d/.test(name)).sort()
    await admin.query(`SET ROLE vigil_owner; DROP TABLE ${names.at(-1)}; RESET ROLE`)
    await admin.query(
      `INSERT INTO audit.entry (id, recorded_at, tenant, service, actor_type, actor_id, action, outcome, correlation_id, body)
       SELECT gen_random_uuid(), date_trunc('month', now()) + interval '3 months 5 days', 'd', 's', 'c', 'a', 'X', 'success',
         gen_random_uuid(), 'x'`,
    )
    await sequencing.query('SELECT audit.ensure_partitions(4)')
    const { rows } = await admin.query(
      `SELECT count(*)::int AS months FROM pg_inherits WHERE inhparent = 'audit.entry'::regclass`,
    )
    expect(rows[0].months).toBe(relations.length - 1)
    const made = await admin.query(
      `SELECT bool_and(tgenabled = 'A') AS awake FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
       WHERE c.relnamespace = 'audit'::regnamespace AND NOT tgisinternal AND c.relname LIKE 'entry%'`,
    )
    expect(made.rows[0].awake).toBe(true)
  })
})

describe('two sequencers', () => {
  test('the second waits for the first, then goes on where it ended', async () => {
    const app = await connect(database.url('vigil_fraud'))
    await sequenceBatch(sequencing)
    const { rows } = await admin.query('SELECT size::int FROM audit.tree_state')
    const first = await connect(database.url('vigil_sequencer'))
    for (let at = 0; at < 4; at++) await appendAudit(app, entry())
    await first.query('BEGIN')
    const mine = await first.query(
      'SELECT first_index::int, octet_length(hashes) / 32 AS count FROM audit.place_pending(3)',
    )
    let done = false
    const second = sequenceBatch(sequencing).then((count) => {
      done = true
      return count
    })
    await expect
      .poll(
        async () =>
          (await admin.query(`SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'`)).rowCount,
      )
      .toBeGreaterThan(0)
    expect(done).toBe(false)
    expect(mine.rows[0]).toEqual({ first_index: rows[0].size, count: 3 })
    await first.query('ROLLBACK')
    expect(await second).toBe(4)
    const after = await admin.query(
      `SELECT count(*)::int AS leaves, max(log_index)::int + 1 AS size FROM audit.leaf`,
    )
    expect(after.rows[0]).toEqual({ leaves: rows[0].size + 4, size: rows[0].size + 4 })
  })
})
