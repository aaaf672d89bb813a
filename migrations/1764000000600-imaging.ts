import type { MigrationInterface, QueryRunner } from 'typeorm'

/** Images from intake to result. Who the patient is stands only in sealed columns and as a keyed hash. */
export class Imaging1764000000600 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      -- The queue's tables belong to nobody who logs in, as all others do.
      DO $$ BEGIN EXECUTE format('GRANT vigil_imaging TO %I', current_user); END $$;
      ALTER SCHEMA bullmq OWNER TO vigil_owner;
      DO $$ BEGIN
        IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
          EXECUTE format('REVOKE vigil_imaging FROM %I', current_user);
        END IF;
      END $$;

      SET LOCAL ROLE vigil_owner;

      -- What an encrypted file in the blob store is, and its data key, wrapped. A file without a row is garbage.
      CREATE TABLE imaging.blob (
        id uuid PRIMARY KEY,
        tenant text NOT NULL,
        kind text NOT NULL CHECK (kind IN ('original', 'deidentified')),
        wrapped_key bytea NOT NULL,
        bytes bigint NOT NULL CHECK (bytes > 0),
        sha256 bytea NOT NULL CHECK (octet_length(sha256) = 32),
        created_at timestamptz NOT NULL DEFAULT clock_timestamp()
      );

      CREATE TABLE imaging.image (
        -- Random (45 CFR 164.514(c)): derived from nothing that the image or the patient is.
        correlation_id uuid PRIMARY KEY,
        tenant text NOT NULL,
        client_id text NOT NULL,
        modality text NOT NULL CHECK (modality ~ '^[A-Z0-9]{2,16}$'),
        -- Keyed hash of the patient's identifier within the tenant.
        patient_ref text NOT NULL,
        status text NOT NULL DEFAULT 'queued'
          CHECK (status IN ('queued', 'processing', 'completed', 'failed', 'quarantined')),
        job_id uuid NOT NULL,
        -- Runs begun so far; also the fence that keeps a run that was given up from writing.
        attempt int NOT NULL DEFAULT 0 CHECK (attempt >= 0),
        original uuid NOT NULL REFERENCES imaging.blob,
        deidentified uuid REFERENCES imaging.blob,
        deidentification jsonb,
        result jsonb,
        -- Machine code of why there is no result; never text out of the image.
        failure text CHECK (failure ~ '^[a-z][a-z0-9_]{1,63}$'),
        received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        progressed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        finished_at timestamptz,
        CHECK ((finished_at IS NOT NULL) = (status IN ('completed', 'failed', 'quarantined'))),
        CHECK ((status = 'completed') = (result IS NOT NULL)),
        CHECK ((status IN ('failed', 'quarantined')) = (failure IS NOT NULL))
      );
      CREATE INDEX image_patient ON imaging.image (tenant, patient_ref, received_at DESC);
      CREATE INDEX image_unfinished ON imaging.image (progressed_at) WHERE status IN ('queued', 'processing');
      CREATE UNIQUE INDEX image_original ON imaging.image (original);

      CREATE TABLE imaging.step (
        correlation_id uuid NOT NULL REFERENCES imaging.image,
        name text NOT NULL CHECK (name IN ('deidentify', 'decode', 'analyse', 'associate')),
        ordinal smallint NOT NULL,
        status text NOT NULL CHECK (status IN ('running', 'done', 'failed', 'skipped')),
        attempt int NOT NULL,
        started_at timestamptz NOT NULL,
        duration_ms double precision CHECK (duration_ms >= 0),
        PRIMARY KEY (correlation_id, name)
      );

      -- Ties an image to its patient, sealed under the patient's data key.
      CREATE TABLE imaging.association (
        correlation_id uuid PRIMARY KEY REFERENCES imaging.image,
        tenant text NOT NULL,
        patient_ref text NOT NULL,
        -- What the sender called the patient and the physician.
        identity bytea NOT NULL,
        -- The patient with the model's finding; null until there is one.
        finding bytea
      );

      CREATE TABLE imaging.outbox (
        id uuid PRIMARY KEY,
        queue text NOT NULL,
        subject uuid NOT NULL,
        traceparent text,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp()
      );

      GRANT USAGE ON SCHEMA imaging TO vigil_imaging;
      GRANT SELECT, INSERT, UPDATE ON imaging.image, imaging.step TO vigil_imaging;
      GRANT SELECT, INSERT ON imaging.blob, imaging.association TO vigil_imaging;
      GRANT UPDATE (finding) ON imaging.association TO vigil_imaging;
      GRANT SELECT, INSERT, UPDATE, DELETE ON imaging.outbox TO vigil_imaging;
      RESET ROLE;
    `)
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(
      'DROP TABLE imaging.outbox, imaging.association, imaging.step, imaging.image, imaging.blob',
    )
  }
}
