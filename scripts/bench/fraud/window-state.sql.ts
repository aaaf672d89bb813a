// The packed window state of apps/fraud/src/features (account.ts, tile.ts, truth.ts), made set by set: what folding the
// history payment by payment leaves, in a minute instead of hours. history.spec.ts compares the two.

const ms = (time: string) => `floor(extract(epoch FROM ${time}) * 1000)::bigint`
const int48 = (value: string) => `substring(int8send(${value}) FROM 3)`
const int24 = (value: string) => `substring(int4send(${value}) FROM 2)`
const shortHash = (id: string) => `substring(sha256(convert_to(${id}, 'UTF8')) FROM 1 FOR 6)`
/** The history is all in one currency: USD, packed. */
const USD = 20 * 676 + 18 * 26 + 3
const hour = (time: string) => `floor(extract(epoch FROM ${time}) / 3600)::int`

/** A payment's or label's keys in some dimensions, by the column of each. */
const keys = (of: Record<number, string>) =>
  `CROSS JOIN LATERAL (VALUES ${Object.entries(of)
    .map(([dimension, column]) => `(${dimension}, ${column})`)
    .join(', ')}) k (dimension, key)`

const RECORD = [
  int48(ms('event_ts')),
  shortHash('merchant_id'),
  'float8send(amount_minor::float8)',
  `int2send(${USD}::int2)`,
  'int4send(round(latitude * 1000000)::int)',
  'int4send(round(longitude * 1000000)::int)',
].join(' || ')

const ACCOUNTS = `
  INSERT INTO fraud.account (tenant, user_id, recent, past)
  SELECT tenant, user_id, '', string_agg(${RECORD}, '' ORDER BY received_at) FROM fraud.transaction GROUP BY tenant, user_id`

const TILES = `
  INSERT INTO fraud.tile (tenant, dimension, key, lane, recent, past, version)
  SELECT tenant, dimension, key, 0, '', string_agg(${int24('hour')} || int2send(${USD}::int2) || int4send(count::int)
    || float8send(sum::float8) || float8send(max::float8), '' ORDER BY hour), 1
  FROM (
    SELECT tenant, dimension, key, ${hour('event_ts')} AS hour, count(*), sum(amount_minor), max(amount_minor)
    FROM fraud.transaction ${keys({ 1: 'merchant_id', 2: 'cell', 3: 'payment_method' })}
    GROUP BY 1, 2, 3, 4) hours
  GROUP BY tenant, dimension, key`

/** Labels that stay one by one; truth.ts sums the others by the hour of their payments. */
const OPEN = 1_024

const TRUTHS = `
  INSERT INTO fraud.truth (tenant, dimension, key, state)
  WITH labels AS (
    SELECT l.tenant, k.dimension, k.key, l.event_ts, l.labelled_at, l.label = 'fraud' AS fraud, l.transaction_id,
      row_number() OVER (PARTITION BY l.tenant, k.dimension, k.key ORDER BY l.labelled_at DESC, l.id DESC) AS newest
    FROM fraud.label l JOIN fraud.transaction t USING (tenant, transaction_id)
      ${keys({ 0: 't.user_id', 1: 't.merchant_id', 2: 't.cell', 3: 't.payment_method' })}),
  hours AS (
    SELECT tenant, dimension, key, max(known) AS horizon, max(event) AS complete, count(*)::int AS count, string_agg(
      ${int24('hour')} || int4send(labelled::int) || int4send(frauds::int), '' ORDER BY hour) AS bytes
    FROM (SELECT tenant, dimension, key, ${hour('event_ts')} AS hour, count(*) AS labelled,
        count(*) FILTER (WHERE fraud) AS frauds, max(labelled_at) AS known, max(event_ts) AS event
      FROM labels WHERE newest > ${OPEN} GROUP BY 1, 2, 3, 4) by_hour
    GROUP BY 1, 2, 3),
  records AS (
    SELECT tenant, dimension, key, string_agg(${int48(ms('event_ts'))} || ${shortHash('transaction_id')}
      || ${int48(ms('labelled_at'))} || CASE WHEN fraud THEN '\\x01'::bytea ELSE '\\x00'::bytea END, '' ORDER BY newest DESC)
      AS bytes
    FROM labels WHERE newest <= ${OPEN} GROUP BY 1, 2, 3)
  SELECT tenant, dimension, key, ${int48(`coalesce(${ms('horizon')}, -1)`)} || ${int48(`coalesce(${ms('complete')}, -1)`)}
    || int4send(coalesce(hours.count, 0)) || coalesce(hours.bytes, '') || records.bytes
  FROM records LEFT JOIN hours USING (tenant, dimension, key)`

export const WINDOW_STATE = [ACCOUNTS, TILES, TRUTHS]
