import type { MigrationInterface, QueryRunner } from 'typeorm'

/**
 * The append-only audit log. An entry is written by `audit.append` in the transaction of the act it records;
 * the sequencer gives it an index and a place in the Merkle tree afterwards.
 */
export class Audit1764000000200 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      SET LOCAL ROLE vigil_owner;

      CREATE TABLE audit.entry (
        id uuid NOT NULL,
        recorded_at timestamptz NOT NULL,
        tenant text NOT NULL,
        service text NOT NULL,
        actor_type text NOT NULL,
        actor_id text NOT NULL,
        action text NOT NULL,
        outcome text NOT NULL CHECK (outcome IN ('success', 'failure', 'denied')),
        subject_type text,
        subject_id text,
        patient_ref text,
        correlation_id uuid NOT NULL,
        -- Exactly the bytes that are hashed: RFC 8785 canonical JSON. At most what an entry bundle can hold.
        body bytea NOT NULL CHECK (octet_length(body) <= 65535),
        leaf_hash bytea NOT NULL GENERATED ALWAYS AS (sha256('\\x00'::bytea || body)) STORED,
        PRIMARY KEY (recorded_at, id)
      ) PARTITION BY RANGE (recorded_at);

      CREATE INDEX entry_id ON audit.entry (id);
      CREATE INDEX entry_tenant ON audit.entry (tenant, recorded_at DESC, id DESC);
      CREATE INDEX entry_actor ON audit.entry (tenant, actor_id, recorded_at DESC, id DESC);
      CREATE INDEX entry_action ON audit.entry (tenant, action, recorded_at DESC, id DESC);
      CREATE INDEX entry_subject ON audit.entry (tenant, subject_id, recorded_at DESC, id DESC) WHERE subject_id IS NOT NULL;
      CREATE INDEX entry_patient ON audit.entry (tenant, patient_ref, recorded_at DESC, id DESC) WHERE patient_ref IS NOT NULL;
      CREATE INDEX entry_correlation ON audit.entry (correlation_id, recorded_at DESC, id DESC);

      CREATE TABLE audit.pending (
        seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        entry_id uuid NOT NULL UNIQUE,
        recorded_at timestamptz NOT NULL,
        leaf_hash bytea NOT NULL
      );

      CREATE TABLE audit.leaf (
        log_index bigint PRIMARY KEY CHECK (log_index >= 0),
        entry_id uuid NOT NULL UNIQUE,
        recorded_at timestamptz NOT NULL,
        leaf_hash bytea NOT NULL CHECK (octet_length(leaf_hash) = 32)
      );

      -- One row a tile (C2SP tlog-tiles); while it grows, its partial widths are prefixes of the same bytes.
      CREATE TABLE audit.tile (
        level smallint NOT NULL CHECK (level BETWEEN 0 AND 7),
        n bigint NOT NULL CHECK (n >= 0),
        hashes bytea NOT NULL CHECK (octet_length(hashes) BETWEEN 32 AND 8192 AND octet_length(hashes) % 32 = 0),
        PRIMARY KEY (level, n)
      );

      CREATE TABLE audit.tree_state (
        singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
        size bigint NOT NULL CHECK (size >= 0)
      );
      INSERT INTO audit.tree_state (size) VALUES (0);

      CREATE TABLE audit.checkpoint (
        size bigint PRIMARY KEY,
        root bytea NOT NULL CHECK (octet_length(root) = 32),
        note text NOT NULL,
        signed_at timestamptz NOT NULL DEFAULT clock_timestamp()
      );

      CREATE FUNCTION audit.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        RAISE EXCEPTION 'the audit log is append-only: % of % is refused', TG_OP, TG_TABLE_NAME
          USING ERRCODE = 'insufficient_privilege';
      END $$;

      CREATE TRIGGER entry_is_append_only BEFORE UPDATE OR DELETE ON audit.entry
        FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();
      CREATE TRIGGER entry_is_not_truncated BEFORE TRUNCATE ON audit.entry
        FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
      CREATE TRIGGER leaf_is_append_only BEFORE UPDATE OR DELETE ON audit.leaf
        FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();
      CREATE TRIGGER leaf_is_not_truncated BEFORE TRUNCATE ON audit.leaf
        FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();

      -- TRUNCATE of a partition does not fire the parent's trigger: each partition gets its own.
      CREATE FUNCTION audit.guard_partition(partition text) RETURNS void LANGUAGE plpgsql AS $$
      BEGIN
        EXECUTE format('CREATE TRIGGER entry_is_not_truncated BEFORE TRUNCATE ON audit.%I
          FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change()', partition);
      END $$;

      CREATE TABLE audit.entry_default PARTITION OF audit.entry DEFAULT;
      SELECT audit.guard_partition('entry_default');

      -- Makes the partitions of this month and the next ones; what exists is left alone.
      CREATE FUNCTION audit.ensure_partitions(months_ahead int) RETURNS void
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, audit, pg_temp AS $$
      DECLARE
        first date := date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC');
        month date;
        name text;
      BEGIN
        FOR ahead IN 0..months_ahead LOOP
          month := first + make_interval(months => ahead);
          name := 'entry_' || to_char(month, 'YYYY_MM');
          CONTINUE WHEN to_regclass('audit.' || name) IS NOT NULL;
          EXECUTE format('CREATE TABLE audit.%I PARTITION OF audit.entry FOR VALUES FROM (%L) TO (%L)',
            name, month::timestamp AT TIME ZONE 'UTC',
            (month + interval '1 month')::timestamp AT TIME ZONE 'UTC');
          PERFORM audit.guard_partition(name);
        END LOOP;
      END $$;
      SELECT audit.ensure_partitions(3);

      -- The only way in. The database sets the time; the query columns are read out of the bytes that are
      -- hashed, so that they cannot say anything else. "entry" sorts before "recorded_at": the whole is
      -- canonical (RFC 8785) when the caller's part is.
      CREATE FUNCTION audit.append(entry_id uuid, entry text) RETURNS timestamptz
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, audit, pg_temp AS $$
      DECLARE
        at timestamptz := clock_timestamp();
        fields jsonb := entry::jsonb;
        bytes bytea := convert_to('{"entry":' || entry || ',"recorded_at":"'
          || to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || '"}', 'UTF8');
      BEGIN
        IF (fields ->> 'id')::uuid IS DISTINCT FROM entry_id THEN
          RAISE EXCEPTION 'the entry names another id' USING ERRCODE = 'invalid_parameter_value';
        END IF;
        INSERT INTO audit.entry (id, recorded_at, tenant, service, actor_type, actor_id, action, outcome,
          subject_type, subject_id, patient_ref, correlation_id, body)
        VALUES (entry_id, at, fields ->> 'tenant', fields ->> 'service', fields #>> '{actor,type}',
          fields #>> '{actor,id}', fields ->> 'action', fields ->> 'outcome', fields #>> '{subject,type}',
          fields #>> '{subject,id}', fields ->> 'patient_ref', (fields ->> 'correlation_id')::uuid, bytes);
        INSERT INTO audit.pending (entry_id, recorded_at, leaf_hash)
        VALUES (entry_id, at, sha256('\\x00'::bytea || bytes));
        RETURN at;
      END $$;

      REVOKE ALL ON ALL FUNCTIONS IN SCHEMA audit FROM PUBLIC;
      GRANT USAGE ON SCHEMA audit TO vigil_app, vigil_audit_reader, vigil_sequencer;
      GRANT EXECUTE ON FUNCTION audit.append(uuid, text) TO vigil_app;
      GRANT SELECT ON audit.entry, audit.leaf, audit.tile, audit.checkpoint, audit.tree_state TO vigil_audit_reader;
      GRANT SELECT (entry_id, recorded_at) ON audit.pending TO vigil_audit_reader;
      GRANT SELECT, DELETE ON audit.pending TO vigil_sequencer;
      GRANT SELECT, INSERT ON audit.leaf, audit.checkpoint TO vigil_sequencer;
      GRANT SELECT, INSERT, UPDATE ON audit.tile TO vigil_sequencer;
      GRANT SELECT, UPDATE ON audit.tree_state TO vigil_sequencer;
      GRANT EXECUTE ON FUNCTION audit.ensure_partitions(int) TO vigil_sequencer;
      RESET ROLE;
    `)
  }

  async down(): Promise<void> {
    throw new Error('The audit log is append-only: it is not dropped by a migration')
  }
}
