import type { MigrationInterface, QueryRunner } from 'typeorm'

/** Payments, what was decided of them and what turned out to be true. */
export class Fraud1764000000500 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      SET LOCAL ROLE vigil_owner;
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
        -- SHA-256 of the canonical body: tells a replay from another payment under the same id.
        body_sha256 bytea,
        received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (tenant, transaction_id)
      );
      CREATE INDEX transaction_account ON fraud.transaction (tenant, user_id, event_ts)
        INCLUDE (amount_minor, currency, merchant_id, latitude, longitude);

      CREATE TABLE fraud.decision (
        decision_id uuid PRIMARY KEY,
        tenant text NOT NULL,
        transaction_id text NOT NULL,
        user_id text NOT NULL,
        merchant_id text NOT NULL,
        decision text NOT NULL CHECK (decision IN ('approve', 'review', 'decline')),
        risk_score float8 NOT NULL CHECK (risk_score BETWEEN 0 AND 1),
        degraded boolean NOT NULL,
        features jsonb NOT NULL,
        model_name text,
        model_version text,
        model_digest text,
        policy_version text NOT NULL,
        audit_entry_id uuid NOT NULL,
        -- The answer as it was first given, byte for byte.
        response text NOT NULL,
        decided_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        UNIQUE (tenant, transaction_id),
        FOREIGN KEY (tenant, transaction_id) REFERENCES fraud.transaction
      );
      CREATE INDEX decision_time ON fraud.decision (tenant, decided_at DESC, decision_id DESC);
      CREATE INDEX decision_account ON fraud.decision (tenant, user_id, decided_at DESC, decision_id DESC);
      CREATE INDEX decision_merchant ON fraud.decision (tenant, merchant_id, decided_at DESC, decision_id DESC);

      -- Append-only and bitemporal: the truth about a payment as of T is the last label with labelled_at <= T.
      CREATE TABLE fraud.label (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        tenant text NOT NULL,
        transaction_id text NOT NULL,
        label text NOT NULL CHECK (label IN ('fraud', 'legitimate')),
        source text NOT NULL CHECK (source IN ('chargeback', 'analyst', 'customer', 'import')),
        labelled_at timestamptz NOT NULL,
        recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        merchant_id text NOT NULL,
        cell text,
        event_ts timestamptz NOT NULL,
        FOREIGN KEY (tenant, transaction_id) REFERENCES fraud.transaction
      );
      CREATE INDEX label_transaction ON fraud.label (tenant, transaction_id);
      CREATE INDEX label_merchant ON fraud.label (tenant, merchant_id, event_ts) INCLUDE (transaction_id, label, labelled_at, id);
      CREATE INDEX label_cell ON fraud.label (tenant, cell, event_ts) INCLUDE (transaction_id, label, labelled_at, id);

      CREATE TABLE fraud.outbox (
        id uuid PRIMARY KEY,
        topic text NOT NULL,
        key text NOT NULL,
        payload jsonb NOT NULL,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        published_at timestamptz
      );
      CREATE INDEX outbox_unpublished ON fraud.outbox (created_at, id) WHERE published_at IS NULL;

      GRANT USAGE ON SCHEMA fraud TO vigil_fraud;
      GRANT SELECT, INSERT ON fraud.transaction, fraud.decision, fraud.label, fraud.outbox TO vigil_fraud;
      GRANT UPDATE (published_at) ON fraud.outbox TO vigil_fraud;
      RESET ROLE;
    `)
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE fraud.outbox, fraud.label, fraud.decision, fraud.transaction')
  }
}
