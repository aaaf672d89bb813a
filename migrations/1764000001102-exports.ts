import type { MigrationInterface, QueryRunner } from 'typeorm'

/** Exports of the trail: what was asked for, how far it is, and the encrypted parts that it is kept in until it expires. */
export class Exports1764000001102 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      SET LOCAL ROLE vigil_owner;
      CREATE SCHEMA exports;
      CREATE TABLE exports.export (
        id uuid PRIMARY KEY,
        tenant text NOT NULL CHECK (tenant <> ''),
        format text NOT NULL CHECK (format IN ('ndjson', 'csv', 'fhir')),
        -- The patient in them is a keyed hash.
        filters jsonb NOT NULL CHECK (jsonb_typeof(filters) = 'object'),
        status text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'running', 'completed', 'failed', 'deleted', 'expired')),
        job_id uuid NOT NULL,
        -- Runs begun so far; also the fence that keeps a run that was given up from writing.
        attempt int NOT NULL DEFAULT 0 CHECK (attempt >= 0),
        -- The signed note that every proof leads to, fixed by the first run, and when it was.
        checkpoint text,
        as_of timestamptz,
        entries_total bigint CHECK (entries_total >= 0),
        entries_done bigint NOT NULL DEFAULT 0 CHECK (entries_done >= 0),
        failure text CHECK (failure ~ '^[a-z][a-z0-9_]{1,63}$'),
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        finished_at timestamptz,
        expires_at timestamptz NOT NULL,
        CHECK ((checkpoint IS NULL) = (as_of IS NULL)),
        CHECK ((status = 'failed') = (failure IS NOT NULL)),
        CHECK (status NOT IN ('completed', 'failed') OR finished_at IS NOT NULL)
      );
      CREATE INDEX export_page ON exports.export (tenant, created_at DESC, id DESC);
      CREATE INDEX export_unfinished ON exports.export (created_at) WHERE status IN ('queued', 'running');
      CREATE INDEX export_expiry ON exports.export (expires_at) WHERE status NOT IN ('deleted', 'expired');

      CREATE TABLE exports.part (
        export_id uuid NOT NULL REFERENCES exports.export,
        file text NOT NULL CHECK (file IN ('content', 'proofs')),
        n int NOT NULL CHECK (n >= 0),
        -- Name of the encrypted file: the run that wrote it is in it.
        name text NOT NULL CHECK (name ~ '^[a-z0-9-]{1,64}$'),
        bytes bigint NOT NULL CHECK (bytes >= 0),
        -- Last entry in it; null where there is none.
        last_index bigint,
        entries int NOT NULL CHECK (entries >= 0),
        PRIMARY KEY (export_id, file, n)
      );
      -- SHA-256 of each file in clear, once it is whole.
      CREATE TABLE exports.digest (
        export_id uuid NOT NULL REFERENCES exports.export,
        file text NOT NULL CHECK (file IN ('content', 'proofs')),
        sha256 bytea NOT NULL CHECK (octet_length(sha256) = 32),
        PRIMARY KEY (export_id, file)
      );

      CREATE TABLE exports.outbox (
        id uuid PRIMARY KEY,
        queue text NOT NULL,
        subject uuid NOT NULL,
        traceparent text,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp()
      );

      GRANT USAGE ON SCHEMA exports TO vigil_compliance;
      GRANT SELECT, INSERT ON exports.export, exports.part, exports.digest TO vigil_compliance;
      GRANT UPDATE (status, job_id, attempt, checkpoint, as_of, entries_total, entries_done, failure, finished_at)
        ON exports.export TO vigil_compliance;
      GRANT DELETE ON exports.part TO vigil_compliance;
      GRANT SELECT, INSERT, UPDATE, DELETE ON exports.outbox TO vigil_compliance;
      RESET ROLE;
    `)
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP SCHEMA exports CASCADE')
  }
}
