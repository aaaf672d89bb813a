import type { Client } from 'pg'

interface Filling {
  entries: number
  /** The last entry is now; the first, this many months ago. */
  months: number
  /** Keyed hash of the patient with three entries. */
  patientRef: string
}

/** Names that the filled trail is sure to hold, each rare in its way. */
export const RARE = {
  /** Looks at patients only, but for two payments decided long ago. */
  actor: 'user-rare',
  subject: 'tx-500',
  correlation: '00000000-0000-4000-8000-000000000500',
}

/**
 * What happens in a hospital with a payment desk: nine in ten entries are decisions of one client, the others those
 * of 5,000 people; one in a thousand is a refusal. `n` is the number of the entry.
 */
const ROW = `
  SELECT n, gen_random_uuid() AS id, $3::timestamptz + n * ($4::timestamptz - $3::timestamptz) / $2::bigint AS at,
    CASE WHEN n % 10 < 9 THEN 'fraud' WHEN n % 40 = 39 THEN 'compliance' ELSE 'imaging' END AS service,
    CASE WHEN n IN (11, 21) THEN '${RARE.actor}' WHEN n % 10 < 9 THEN 'payments'
      WHEN n % 200 = 19 THEN '${RARE.actor}' ELSE 'user-' || (n / 10 % 5000) END AS actor,
    CASE WHEN n % 10 < 9 THEN 'TRANSACTION_DECIDED' WHEN n % 40 = 39 THEN 'TOKEN_ISSUED'
      WHEN n % 20 = 9 THEN 'AI_ANALYSIS_REQUEST' ELSE 'PHI_ACCESS' END AS action,
    CASE WHEN n % 10 = 9 AND n % 100 = 29 THEN 'denied' WHEN n % 1000 = 5 THEN 'failure' ELSE 'success' END AS outcome,
    CASE WHEN n % 10 < 9 THEN 'tx-' || n ELSE 'image-' || n END AS subject,
    CASE WHEN n % 10 < 9 OR n % 40 = 39 THEN NULL
      WHEN n IN (109, 5009, 9009) THEN $5 ELSE '1:' || md5((n % 50000)::text) END AS patient_ref,
    ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid AS correlation
  FROM generate_series($1::bigint, $1::bigint + least($6::bigint, $2::bigint - $1::bigint) - 1) AS n`

const BATCH = 100_000

/** Fills the trail and its leaves as an administrator, past months and all: the services could not. */
export async function fillTrail(admin: Client, { entries, months, patientRef }: Filling): Promise<void> {
  const { rows } = await admin.query<{ first: string; last: string }>(
    `SELECT (date_trunc('month', now()) - make_interval(months => $1))::text AS first, now()::text AS last`,
    [months],
  )
  const { first, last } = rows[0]!
  for (let ago = months; ago > 0; ago--) await createPartition(admin, ago)
  await admin.query('SET synchronous_commit = off')
  for (let from = 0; from < entries; from += BATCH) {
    await admin.query(
      `WITH made AS MATERIALIZED (${ROW}), leaves AS (
         INSERT INTO audit.leaf (log_index, entry_id, recorded_at, leaf_hash)
         SELECT n, id, at, sha256(n::text::bytea) FROM made)
       INSERT INTO audit.entry (id, recorded_at, tenant, service, actor_type, actor_id, action, outcome, subject_type,
         subject_id, patient_ref, correlation_id, body)
       SELECT id, at, 'default', service, 'client', actor, action, outcome, 'subject', subject, patient_ref, correlation,
         convert_to('{"entry":' || jsonb_build_object('id', id, 'tenant', 'default', 'service', service, 'actor',
           jsonb_build_object('type', 'client', 'id', actor), 'action', action, 'outcome', outcome, 'subject',
           jsonb_build_object('type', 'subject', 'id', subject), 'correlation_id', correlation, 'details',
           jsonb_build_object('score', 0.25, 'policy', 'v1', 'model', 'fraud-gbdt/v1'))::text || ',"recorded_at":"'
           || to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || '"}', 'UTF8')
       FROM made`,
      [from, entries, first, last, patientRef, BATCH],
    )
  }
  await admin.query('RESET synchronous_commit')
  await admin.query('VACUUM (ANALYZE) audit.entry, audit.leaf')
}

async function createPartition(admin: Client, monthsAgo: number): Promise<void> {
  await admin.query(`DO $$
    DECLARE
      month timestamptz := date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' - interval '${monthsAgo} months';
      name text := 'entry_' || to_char(month AT TIME ZONE 'UTC', 'YYYY_MM');
    BEGIN
      SET LOCAL ROLE vigil_owner;
      EXECUTE format('CREATE TABLE IF NOT EXISTS audit.%I PARTITION OF audit.entry FOR VALUES FROM (%L) TO (%L)', name, month,
        (month AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC');
      PERFORM audit.guard_partition(name);
    END $$`)
}
