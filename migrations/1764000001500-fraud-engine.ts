import type { MigrationInterface, QueryRunner } from 'typeorm'

/**
 * Payments and decisions by month of their receipt, ids in one table that keeps them unique over all months, and the
 * state of windows: what a decision reads instead of history. See docs/fraud-engine.md and ADR 0035 to 0037.
 */
export class FraudEngine1764000001500 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      SET LOCAL ROLE vigil_owner;
      ALTER TABLE fraud.decision RENAME TO landed_decision;
      ALTER TABLE fraud.transaction RENAME TO landed_transaction;
      ALTER TABLE fraud.label DROP CONSTRAINT label_tenant_transaction_id_fkey;
      ALTER TABLE fraud.landed_decision DROP CONSTRAINT decision_tenant_transaction_id_fkey,
        DROP CONSTRAINT decision_tenant_transaction_id_key, DROP CONSTRAINT decision_pkey;
      ALTER TABLE fraud.landed_transaction DROP CONSTRAINT transaction_pkey;
      DROP INDEX fraud.decision_time, fraud.decision_account, fraud.decision_merchant, fraud.transaction_account,
        fraud.label_merchant, fraud.label_cell;

      -- Makes an id mean one payment, whatever month it came in; tells a replay from another payment under the same id.
      CREATE TABLE fraud.transaction_id (
        tenant text NOT NULL,
        transaction_id text NOT NULL,
        -- SHA-256 of the canonical body; null for imported history.
        body_sha256 bytea CHECK (octet_length(body_sha256) = 32),
        received_at timestamptz NOT NULL,
        PRIMARY KEY (tenant, transaction_id)
      );
      -- Rows come in the order of their receipt: a few pages tell where the old ones end.
      CREATE INDEX transaction_id_age ON fraud.transaction_id USING brin (received_at);

      CREATE TABLE fraud.transaction (
        tenant text NOT NULL,
        transaction_id text NOT NULL,
        user_id text NOT NULL,
        merchant_id text NOT NULL,
        amount_minor bigint NOT NULL CHECK (amount_minor >= 0),
        currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
        event_ts timestamptz NOT NULL,
        -- Null in history that was imported without places.
        latitude float8 CHECK (latitude BETWEEN -90 AND 90),
        longitude float8 CHECK (longitude BETWEEN -180 AND 180),
        -- H3 cell, resolution 5 (edge about 9 km).
        cell text,
        payment_method text NOT NULL,
        metadata jsonb,
        received_at timestamptz NOT NULL,
        PRIMARY KEY (received_at, tenant, transaction_id)
      ) PARTITION BY RANGE (received_at);

      CREATE TABLE fraud.feature_set (
        id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        names text[] NOT NULL UNIQUE
      );

      CREATE TABLE fraud.decision (
        decision_id uuid NOT NULL,
        tenant text NOT NULL,
        transaction_id text NOT NULL,
        user_id text NOT NULL,
        merchant_id text NOT NULL,
        decision text NOT NULL CHECK (decision IN ('approve', 'review', 'decline')),
        risk_score float8 NOT NULL CHECK (risk_score BETWEEN 0 AND 1),
        degraded boolean NOT NULL,
        -- The snapshot that was decided on: a float8 (big-endian) for each name of the feature set.
        feature_set int NOT NULL,
        features bytea NOT NULL,
        model_name text,
        model_version text,
        model_digest text,
        policy_version text NOT NULL,
        audit_entry_id uuid NOT NULL,
        -- The answer as it was first given, byte for byte once its features are put back in.
        response text NOT NULL,
        -- When the payment was received: the same instant as in transaction and transaction_id.
        decided_at timestamptz NOT NULL,
        PRIMARY KEY (tenant, decided_at, decision_id)
      ) PARTITION BY RANGE (decided_at);
      CREATE INDEX decision_account ON fraud.decision (tenant, user_id, decided_at DESC, decision_id DESC);
      CREATE INDEX decision_merchant ON fraud.decision (tenant, merchant_id, decided_at DESC, decision_id DESC);

      -- Payments of an account, packed (apps/fraud/src/features/account.ts). Every payment locks its account's row.
      CREATE TABLE fraud.account (
        tenant text NOT NULL,
        user_id text NOT NULL,
        recent bytea NOT NULL,
        past bytea NOT NULL DEFAULT '',
        PRIMARY KEY (tenant, user_id)
      ) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.1);

      -- Hours of a merchant (1), place (2) or method (3), packed (features/tile.ts). A transaction writes the rows of
      -- the lane it holds and reads those of all lanes: a busy key makes nobody wait.
      CREATE TABLE fraud.tile (
        tenant text NOT NULL,
        dimension smallint NOT NULL CHECK (dimension BETWEEN 1 AND 3),
        key text NOT NULL,
        lane smallint NOT NULL CHECK (lane >= 0),
        recent bytea NOT NULL,
        past bytea NOT NULL DEFAULT '',
        -- Grows with every change of past, so that readers may keep it.
        version int NOT NULL DEFAULT 0,
        PRIMARY KEY (tenant, dimension, key, lane)
      ) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.1);

      -- What is known of the truth about the payments of an account (0), merchant, place or method (features/truth.ts).
      CREATE TABLE fraud.truth (
        tenant text NOT NULL,
        dimension smallint NOT NULL CHECK (dimension BETWEEN 0 AND 3),
        key text NOT NULL,
        state bytea NOT NULL,
        version int NOT NULL DEFAULT 0,
        PRIMARY KEY (tenant, dimension, key)
      ) WITH (fillfactor = 80);
      -- Packed numbers do not compress: no time is lost on trying.
      ALTER TABLE fraud.account ALTER recent SET STORAGE EXTERNAL, ALTER past SET STORAGE EXTERNAL;
      ALTER TABLE fraud.tile ALTER recent SET STORAGE EXTERNAL, ALTER past SET STORAGE EXTERNAL;
      ALTER TABLE fraud.truth ALTER state SET STORAGE EXTERNAL;

      -- Whether the state of windows must be made from the payments before anything is decided.
      CREATE TABLE fraud.rebuild (
        singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
        needed boolean NOT NULL
      );
      INSERT INTO fraud.rebuild (needed) SELECT EXISTS (SELECT FROM fraud.landed_transaction);

      CREATE TABLE fraud.transaction_default PARTITION OF fraud.transaction DEFAULT;
      CREATE TABLE fraud.decision_default PARTITION OF fraud.decision DEFAULT;

      -- Makes the partitions of this month and the next ones; what exists is left alone.
      CREATE FUNCTION fraud.ensure_partitions(months_ahead int) RETURNS void
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, fraud, pg_temp AS $$
      DECLARE
        first date := date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC');
        month date;
        parent text;
        name text;
      BEGIN
        PERFORM pg_advisory_xact_lock(hashtextextended('fraud.ensure_partitions', 0));
        FOREACH parent IN ARRAY ARRAY['transaction', 'decision'] LOOP
          FOR ahead IN 0..months_ahead LOOP
            month := first + make_interval(months => ahead);
            name := parent || '_' || to_char(month, 'YYYY_MM');
            CONTINUE WHEN to_regclass('fraud.' || name) IS NOT NULL;
            EXECUTE format('CREATE TABLE fraud.%I PARTITION OF fraud.%I FOR VALUES FROM (%L) TO (%L)', name, parent,
              month::timestamp AT TIME ZONE 'UTC', (month + interval '1 month')::timestamp AT TIME ZONE 'UTC');
          END LOOP;
        END LOOP;
      END $$;
      SELECT fraud.ensure_partitions(3);

      INSERT INTO fraud.transaction_id (tenant, transaction_id, body_sha256, received_at)
        SELECT tenant, transaction_id, body_sha256, received_at FROM fraud.landed_transaction ORDER BY received_at;
      INSERT INTO fraud.transaction SELECT tenant, transaction_id, user_id, merchant_id, amount_minor, currency, event_ts,
        latitude, longitude, cell, payment_method, metadata, received_at FROM fraud.landed_transaction ORDER BY received_at;
      INSERT INTO fraud.feature_set (names) SELECT DISTINCT ARRAY(SELECT jsonb_object_keys(features) ORDER BY 1)
        FROM fraud.landed_decision;
      INSERT INTO fraud.decision SELECT d.decision_id, d.tenant, d.transaction_id, d.user_id, d.merchant_id, d.decision,
        d.risk_score, d.degraded, s.id,
        (SELECT string_agg(float8send((d.features ->> name)::float8), '' ORDER BY at) FROM unnest(s.names)
          WITH ORDINALITY AS n (name, at)),
        d.model_name, d.model_version, d.model_digest, d.policy_version, d.audit_entry_id, d.response, t.received_at
      FROM fraud.landed_decision d JOIN fraud.landed_transaction t USING (tenant, transaction_id)
        JOIN fraud.feature_set s ON s.names = ARRAY(SELECT jsonb_object_keys(d.features) ORDER BY 1);
      DROP TABLE fraud.landed_decision, fraud.landed_transaction;
      ALTER TABLE fraud.label ADD FOREIGN KEY (tenant, transaction_id) REFERENCES fraud.transaction_id;

      REVOKE ALL ON ALL FUNCTIONS IN SCHEMA fraud FROM PUBLIC;
      GRANT EXECUTE ON FUNCTION fraud.ensure_partitions(int) TO vigil_fraud;
      GRANT SELECT, INSERT ON fraud.transaction_id, fraud.transaction, fraud.decision, fraud.feature_set TO vigil_fraud;
      GRANT SELECT, INSERT, UPDATE (recent, past) ON fraud.account TO vigil_fraud;
      GRANT SELECT, INSERT, UPDATE (recent, past, version) ON fraud.tile TO vigil_fraud;
      GRANT SELECT, INSERT, UPDATE (state, version) ON fraud.truth TO vigil_fraud;
      GRANT SELECT, UPDATE (needed) ON fraud.rebuild TO vigil_fraud;
      RESET ROLE;
    `)
  }

  async down(): Promise<void> {
    throw new Error('Payments are not moved back: restore a backup')
  }
}
