import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { appendStatement, Cosigners, noteSigner, PublishedFile, Publisher, startSequencer } from '#libs/audit'
import { createPool, newId } from '#libs/platform'
import type { BenchServer } from './server.js'

const CLIENTS = 16
const SLICE_MS = 3_000
const SLICES = 4

const TABLE = `
  CREATE SCHEMA bench;
  CREATE TABLE bench.payment (id uuid PRIMARY KEY, account bigint NOT NULL, amount_minor bigint NOT NULL, note text NOT NULL);
  GRANT USAGE ON SCHEMA bench TO vigil_fraud;
  GRANT INSERT ON bench.payment TO vigil_fraud;`

/** A statement that commits one payment, alone or with its audit entry: one round trip each. */
type Make = () => { name: string; text: string; values: unknown[] }

const payment = () => [newId(), Math.floor(Math.random() * 1e6), 12_990, 'x'.repeat(60)]

const alone: Make = () => ({
  name: 'alone',
  text: 'INSERT INTO bench.payment VALUES ($1, $2, $3, $4)',
  values: payment(),
})

/** As the fraud service records a decision: a body of about 400 bytes. */
const recorded: Make = () => {
  const entry = appendStatement({
    tenant: 'default',
    service: 'fraud',
    actor: { type: 'client', id: 'payments' },
    action: 'TRANSACTION_DECIDED',
    outcome: 'success',
    subject: { type: 'transaction', id: newId() },
    correlationId: newId(),
    details: {
      amount_minor: 12_990,
      currency: 'EUR',
      decision: 'approve',
      model: 'fraud-gbdt/v1',
      policy: '1',
      score: 0.0421337,
    },
  })
  return {
    name: 'recorded',
    text: `WITH entry AS MATERIALIZED (SELECT audit.append($5, $6))
           INSERT INTO bench.payment SELECT $1::uuid, $2::bigint, $3::bigint, $4::text FROM entry`,
    values: [...payment(), ...entry.values],
  }
}

/** Commits per second of all clients together, over one slice of time. */
async function slice(clients: pg.Client[], make: Make): Promise<number> {
  const start = performance.now()
  const end = start + SLICE_MS
  let commits = 0
  await Promise.all(
    clients.map(async (client) => {
      for (; performance.now() < end; commits++) await client.query(make())
    }),
  )
  return commits / ((performance.now() - start) / 1000)
}

function sequencing(server: BenchServer, folder: string) {
  const pool = createPool(server.url('vigil_sequencer'), { applicationName: 'bench-sequencer', max: 2 })
  const sequencer = startSequencer({
    pool,
    publisher: new Publisher({
      pool,
      signer: noteSigner('bench.invalid/log', Buffer.alloc(32, 1)),
      published: new PublishedFile(join(folder, 'checkpoint')),
      cosigners: new Cosigners({ witnesses: [], timeoutMs: 100, onConflict: () => undefined }),
    }),
    intervalMs: 500,
    onState: (error) => error !== undefined && console.error(error),
  })
  return async () => {
    await sequencer.stop()
    await pool.end()
  }
}

const median = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1]!

/**
 * Payments per second without and with their audit entry, the sequencer at work throughout: slices of both in turn, so
 * that what else the machine does meets both alike.
 */
export async function measureWrites(
  server: BenchServer,
): Promise<{ alone: number; recorded: number; ratio: number }> {
  const folder = mkdtempSync(join(tmpdir(), 'vigil-bench-log-'))
  const admin = new pg.Client({ connectionString: server.adminUrl })
  await admin.connect()
  await admin.query(TABLE)
  await admin.end()
  const clients = Array.from(
    { length: CLIENTS },
    () => new pg.Client({ connectionString: server.url('vigil_fraud') }),
  )
  await Promise.all(clients.map((client) => client.connect()))
  const stop = sequencing(server, folder)
  const rates: { alone: number; recorded: number }[] = []
  try {
    await slice(clients, recorded)
    for (let n = 0; n < SLICES; n++)
      rates.push({ alone: await slice(clients, alone), recorded: await slice(clients, recorded) })
  } finally {
    await stop()
    await Promise.all(clients.map((client) => client.end()))
    rmSync(folder, { recursive: true, force: true })
  }
  return {
    alone: median(rates.map((rate) => rate.alone)),
    recorded: median(rates.map((rate) => rate.recorded)),
    ratio: median(rates.map((rate) => rate.recorded / rate.alone)),
  }
}
