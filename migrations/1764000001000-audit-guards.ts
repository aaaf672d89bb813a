import type { MigrationInterface, QueryRunner } from 'typeorm'

/**
 * Closes what the first audit migration left open: the sequencer's role places entries through one function and
 * can otherwise only let the tree grow; checkpoints are for ever; an id can be used once; the guards hold in replica mode.
 */
export class AuditGuards1764000001000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      SET LOCAL ROLE vigil_owner;

      -- Cosignatures of witnesses, one line of a signed note each (C2SP tlog-cosignature); they may come later.
      CREATE TABLE audit.cosignature (
        size bigint NOT NULL REFERENCES audit.checkpoint,
        witness text NOT NULL,
        line text NOT NULL CHECK (line LIKE E'\\u2014 %\\n'),
        PRIMARY KEY (size, witness)
      );

      -- An id that was used twice would stop the sequencer for ever if its leaves had to differ in the id alone.
      ALTER TABLE audit.leaf DROP CONSTRAINT leaf_entry_id_key;
      ALTER TABLE audit.leaf ADD CONSTRAINT leaf_entry UNIQUE (entry_id, recorded_at);

      -- A queue: rows live for a second. Without early vacuuming each reading passes over the dead ones before it.
      ALTER TABLE audit.pending SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
        autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 50000);

      CREATE FUNCTION audit.guard_tile() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        IF (NEW.level, NEW.n) IS DISTINCT FROM (OLD.level, OLD.n)
          OR substr(NEW.hashes, 1, octet_length(OLD.hashes)) <> OLD.hashes THEN
          RAISE EXCEPTION 'tile %/% can only grow', OLD.level, OLD.n USING ERRCODE = 'insufficient_privilege';
        END IF;
        RETURN NEW;
      END $$;

      CREATE FUNCTION audit.guard_size() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        IF NEW.size < OLD.size OR NOT NEW.singleton THEN
          RAISE EXCEPTION 'the tree can only grow' USING ERRCODE = 'insufficient_privilege';
        END IF;
        RETURN NEW;
      END $$;

      CREATE TRIGGER tile_only_grows BEFORE UPDATE ON audit.tile
        FOR EACH ROW EXECUTE FUNCTION audit.guard_tile();
      CREATE TRIGGER tree_only_grows BEFORE UPDATE ON audit.tree_state
        FOR EACH ROW EXECUTE FUNCTION audit.guard_size();
      CREATE TRIGGER checkpoint_is_append_only BEFORE UPDATE OR DELETE ON audit.checkpoint
        FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();
      CREATE TRIGGER cosignature_is_append_only BEFORE UPDATE OR DELETE ON audit.cosignature
        FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();
      CREATE TRIGGER tile_is_not_deleted BEFORE DELETE ON audit.tile
        FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();
      CREATE TRIGGER tree_is_not_deleted BEFORE DELETE ON audit.tree_state
        FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();
      CREATE TRIGGER checkpoint_is_not_truncated BEFORE TRUNCATE ON audit.checkpoint
        FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
      CREATE TRIGGER cosignature_is_not_truncated BEFORE TRUNCATE ON audit.cosignature
        FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
      CREATE TRIGGER tile_is_not_truncated BEFORE TRUNCATE ON audit.tile
        FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
      CREATE TRIGGER tree_is_not_truncated BEFORE TRUNCATE ON audit.tree_state
        FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
      CREATE TRIGGER pending_is_not_changed BEFORE UPDATE ON audit.pending
        FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();
      CREATE TRIGGER pending_is_not_truncated BEFORE TRUNCATE ON audit.pending
        FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();

      -- In replica mode (session_replication_role) ordinary triggers sleep: these must not.
      CREATE FUNCTION audit.keep_guards_awake() RETURNS void LANGUAGE plpgsql AS $$
      DECLARE
        guard record;
      BEGIN
        FOR guard IN
          SELECT tgrelid::regclass AS relation, tgname FROM pg_trigger
          WHERE tgrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'audit'::regnamespace)
            AND NOT tgisinternal AND tgenabled <> 'A'
        LOOP
          EXECUTE format('ALTER TABLE ONLY %s ENABLE ALWAYS TRIGGER %I', guard.relation, guard.tgname);
        END LOOP;
      END $$;
      SELECT audit.keep_guards_awake();

      -- A month whose entries already went to the default partition stays there: they are not moved.
      CREATE OR REPLACE FUNCTION audit.ensure_partitions(months_ahead int) RETURNS void
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, audit, pg_temp AS $$
      DECLARE
        first date := date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC');
        from_time timestamptz;
        to_time timestamptz;
        name text;
      BEGIN
        FOR ahead IN 0..months_ahead LOOP
          from_time := (first + make_interval(months => ahead))::timestamp AT TIME ZONE 'UTC';
          to_time := (first + make_interval(months => ahead + 1))::timestamp AT TIME ZONE 'UTC';
          name := 'entry_' || to_char(from_time AT TIME ZONE 'UTC', 'YYYY_MM');
          CONTINUE WHEN to_regclass('audit.' || name) IS NOT NULL;
          IF EXISTS (SELECT FROM audit.entry_default WHERE recorded_at >= from_time AND recorded_at < to_time) THEN
            RAISE WARNING 'entries of % stand in audit.entry_default: it keeps them', name;
            CONTINUE;
          END IF;
          EXECUTE format('CREATE TABLE audit.%I PARTITION OF audit.entry FOR VALUES FROM (%L) TO (%L)',
            name, from_time, to_time);
          PERFORM audit.guard_partition(name);
          PERFORM audit.keep_guards_awake();
        END LOOP;
      END $$;

      CREATE OR REPLACE FUNCTION audit.append(entry_id uuid, entry text) RETURNS timestamptz
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, audit, pg_temp AS $$
      DECLARE
        at timestamptz := clock_timestamp();
        fields jsonb := entry::jsonb;
        hash bytea;
      BEGIN
        IF (fields ->> 'id')::uuid IS DISTINCT FROM entry_id THEN
          RAISE EXCEPTION 'the entry names another id' USING ERRCODE = 'invalid_parameter_value';
        END IF;
        IF EXISTS (SELECT FROM audit.leaf l WHERE l.entry_id = append.entry_id) THEN
          RAISE EXCEPTION 'the log has an entry of this id' USING ERRCODE = 'unique_violation';
        END IF;
        INSERT INTO audit.entry (id, recorded_at, tenant, service, actor_type, actor_id, action, outcome,
          subject_type, subject_id, patient_ref, correlation_id, body)
        VALUES (entry_id, at, fields ->> 'tenant', fields ->> 'service', fields #>> '{actor,type}',
          fields #>> '{actor,id}', fields ->> 'action', fields ->> 'outcome', fields #>> '{subject,type}',
          fields #>> '{subject,id}', fields ->> 'patient_ref', (fields ->> 'correlation_id')::uuid,
          convert_to('{"entry":' || entry || ',"recorded_at":"'
            || to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || '"}', 'UTF8'))
        RETURNING leaf_hash INTO hash;
        INSERT INTO audit.pending (entry_id, recorded_at, leaf_hash) VALUES (entry_id, at, hash);
        RETURN at;
      END $$;

      -- Gives up to 'batch' pending entries their indices, in the order they were written, under the lock of the
      -- tree's one row: a second caller waits for the first one's transaction. Returns their hashes, end to end.
      CREATE FUNCTION audit.place_pending(batch int, OUT first_index bigint, OUT hashes bytea)
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, audit, pg_temp AS $$
      BEGIN
        SELECT size INTO STRICT first_index FROM audit.tree_state FOR UPDATE;
        WITH taken AS (
          DELETE FROM audit.pending p WHERE p.seq = ANY (ARRAY(SELECT seq FROM audit.pending ORDER BY seq LIMIT batch))
          RETURNING p.seq, p.entry_id, p.recorded_at, p.leaf_hash
        ), placed AS (
          INSERT INTO audit.leaf AS l (log_index, entry_id, recorded_at, leaf_hash)
          SELECT first_index - 1 + row_number() OVER (ORDER BY seq), entry_id, recorded_at, leaf_hash FROM taken ORDER BY seq
          RETURNING l.log_index, l.leaf_hash
        )
        SELECT coalesce(string_agg(leaf_hash, ''::bytea ORDER BY log_index), ''::bytea) INTO hashes FROM placed;
        IF octet_length(hashes) > 0 THEN
          UPDATE audit.tree_state SET size = first_index + octet_length(hashes) / 32;
        END IF;
      END $$;

      REVOKE ALL ON ALL FUNCTIONS IN SCHEMA audit FROM PUBLIC;
      REVOKE DELETE ON audit.pending FROM vigil_sequencer;
      REVOKE INSERT ON audit.leaf FROM vigil_sequencer;
      REVOKE UPDATE ON audit.tree_state FROM vigil_sequencer;
      GRANT EXECUTE ON FUNCTION audit.place_pending(int) TO vigil_sequencer;
      GRANT SELECT ON audit.cosignature TO vigil_audit_reader;
      GRANT SELECT, INSERT ON audit.cosignature TO vigil_sequencer;
      RESET ROLE;
    `)
  }

  async down(): Promise<void> {
    throw new Error('The guards of the audit log are not taken away')
  }
}
