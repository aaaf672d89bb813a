import type { MigrationInterface, QueryRunner } from 'typeorm'

/**
 * Dropping months of the trail after their periods. Entries go; leaves and tiles stay, so that what remains is proved
 * as before. Every condition is looked at by the function that drops (docs/adr/0016). SQLSTATE VG409: not now.
 */
export class Retention1764000001103 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      SET LOCAL ROLE vigil_owner;

      CREATE TABLE audit.retention_class (
        class text PRIMARY KEY CHECK (class IN ('phi', 'payment', 'default')),
        period interval NOT NULL CHECK (period >= interval '1 day'),
        -- 45 CFR 164.316(b)(2)(i), 164.528(a)(3)
        CHECK (class <> 'phi' OR period >= interval '6 years')
      );
      INSERT INTO audit.retention_class VALUES ('phi', '6 years'), ('payment', '1 year'), ('default', '6 years');

      CREATE TABLE audit.retention_drop (
        partition text PRIMARY KEY,
        from_time timestamptz NOT NULL,
        to_time timestamptz NOT NULL,
        entries bigint NOT NULL,
        first_index bigint,
        last_index bigint,
        -- SHA-256 over the leaf hashes of what was dropped, in log order.
        digest bytea NOT NULL CHECK (octet_length(digest) = 32),
        minimum_index bigint NOT NULL CHECK (minimum_index >= 0 AND minimum_index % 256 = 0),
        approval uuid NOT NULL UNIQUE REFERENCES approvals.request,
        dropped_at timestamptz NOT NULL DEFAULT clock_timestamp()
      );
      -- Dropped entries that share a bundle of 256 with entries that stay: the bundle must stay whole.
      CREATE TABLE audit.kept_entry (
        log_index bigint PRIMARY KEY,
        body bytea NOT NULL
      );

      -- Lowest index whose entry is published (C2SP tlog-tiles, Pruning).
      CREATE FUNCTION audit.minimum_index() RETURNS bigint
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        SELECT coalesce(max(minimum_index), 0) FROM audit.retention_drop
      $$;

      CREATE FUNCTION audit.months() RETURNS TABLE (partition text, from_time timestamptz, to_time timestamptz)
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        SELECT c.relname::text, to_timestamp(m.at || ' +00', 'YYYY_MM TZH'),
          (to_timestamp(m.at || ' +00', 'YYYY_MM TZH') AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC'
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        CROSS JOIN LATERAL (SELECT substring(c.relname FROM '^entry_(\\d{4}_\\d{2})$') AS at) m
        WHERE i.inhparent = 'audit.entry'::regclass AND m.at IS NOT NULL ORDER BY c.relname
      $$;

      -- When the last class that a month holds is past its period; null for a month without entries.
      CREATE FUNCTION audit.due_at(of_partition text) RETURNS timestamptz
        LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
      DECLARE
        month record;
        due timestamptz;
      BEGIN
        SELECT * INTO month FROM audit.months() m WHERE m.partition = of_partition;
        EXECUTE format('SELECT max($1 + r.period) FROM audit.retention_class r WHERE r.class IN
          (SELECT DISTINCT audit.class_of(a.action) FROM (SELECT DISTINCT action FROM audit.%I) a)', of_partition)
          INTO due USING month.to_time;
        RETURN due;
      END $$;

      -- What a month holds: what the second person agrees to, and the database drops nothing else.
      CREATE FUNCTION audit.month_facts(of_partition text, OUT entries bigint, OUT first_index bigint,
        OUT last_index bigint, OUT digest bytea)
        LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
      BEGIN
        EXECUTE format('SELECT count(*), min(l.log_index), max(l.log_index),
            sha256(coalesce(string_agg(l.leaf_hash, ''''::bytea ORDER BY l.log_index), ''''::bytea))
          FROM audit.%I e JOIN audit.leaf l ON l.entry_id = e.id AND l.recorded_at = e.recorded_at', of_partition)
          INTO entries, first_index, last_index, digest;
      END $$;

      -- Why a month cannot be dropped now: missing, empty, not_oldest, not_due, pending, held; null where it can.
      CREATE FUNCTION audit.drop_obstacle(of_partition text) RETURNS text
        LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
      DECLARE
        month record;
        older record;
        due timestamptz;
        is_filled boolean;
      BEGIN
        SELECT * INTO month FROM audit.months() m WHERE m.partition = of_partition;
        IF NOT FOUND THEN RETURN 'missing'; END IF;
        -- The published log loses its beginning only: a gap in the middle would look like tampering.
        FOR older IN SELECT m.partition FROM audit.months() m WHERE m.to_time <= month.from_time LOOP
          EXECUTE format('SELECT EXISTS (SELECT FROM audit.%I)', older.partition) INTO is_filled;
          IF is_filled THEN RETURN 'not_oldest'; END IF;
        END LOOP;
        due := audit.due_at(of_partition);
        IF due IS NULL THEN RETURN 'empty'; END IF;
        IF due > clock_timestamp() THEN RETURN 'not_due'; END IF;
        IF EXISTS (SELECT FROM audit.pending p WHERE p.recorded_at >= month.from_time AND p.recorded_at < month.to_time)
          THEN RETURN 'pending'; END IF;
        IF EXISTS (SELECT FROM holds.on_entries(month.from_time, month.to_time)) THEN RETURN 'held'; END IF;
        RETURN NULL;
      END $$;

      CREATE FUNCTION audit.drop_month(of_partition text, of_tenant text, with_approval uuid) RETURNS audit.retention_drop
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
      DECLARE
        month record;
        facts record;
        obstacle text;
        lowest bigint;
        dropped audit.retention_drop;
      BEGIN
        -- No hold is placed and no entry is placed in the tree until this ends.
        LOCK TABLE holds.hold IN SHARE MODE;
        PERFORM FROM audit.tree_state FOR UPDATE;
        obstacle := audit.drop_obstacle(of_partition);
        IF obstacle IS NOT NULL THEN
          RAISE EXCEPTION 'the month cannot be dropped: %', obstacle USING ERRCODE = 'VG409';
        END IF;
        SELECT * INTO month FROM audit.months() m WHERE m.partition = of_partition;
        SELECT * INTO facts FROM audit.month_facts(of_partition);
        PERFORM approvals.consume(with_approval, of_tenant, 'retention.drop', of_partition, jsonb_build_object(
          'entries', facts.entries, 'first_index', facts.first_index, 'last_index', facts.last_index,
          'digest', encode(facts.digest, 'hex')));

        SELECT least(
          (SELECT l.log_index FROM audit.leaf l WHERE l.log_index >= audit.minimum_index()
             AND l.recorded_at >= month.to_time ORDER BY l.log_index LIMIT 1),
          (SELECT min(l.log_index) FROM audit.entry_default e
             JOIN audit.leaf l ON l.entry_id = e.id AND l.recorded_at = e.recorded_at),
          (SELECT size FROM audit.tree_state)) / 256 * 256 INTO lowest;
        lowest := greatest(lowest, audit.minimum_index());
        DELETE FROM audit.kept_entry k WHERE k.log_index < lowest;
        EXECUTE format('INSERT INTO audit.kept_entry SELECT l.log_index, e.body FROM audit.%I e
          JOIN audit.leaf l ON l.entry_id = e.id AND l.recorded_at = e.recorded_at WHERE l.log_index >= $1', of_partition)
          USING lowest;
        EXECUTE format('DROP TABLE audit.%I', of_partition);
        INSERT INTO audit.retention_drop
          (partition, from_time, to_time, entries, first_index, last_index, digest, minimum_index, approval)
        VALUES (of_partition, month.from_time, month.to_time, facts.entries, facts.first_index, facts.last_index,
          facts.digest, lowest, with_approval) RETURNING * INTO dropped;
        RETURN dropped;
      END $$;

      CREATE TRIGGER retention_drop_is_append_only BEFORE UPDATE OR DELETE ON audit.retention_drop
        FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();
      CREATE TRIGGER retention_drop_is_not_truncated BEFORE TRUNCATE ON audit.retention_drop
        FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
      SELECT audit.keep_guards_awake();

      REVOKE ALL ON FUNCTION audit.minimum_index(), audit.months(), audit.due_at(text), audit.month_facts(text),
        audit.drop_obstacle(text), audit.drop_month(text, text, uuid) FROM PUBLIC;
      GRANT EXECUTE ON FUNCTION audit.minimum_index(), audit.months(), audit.due_at(text), audit.month_facts(text),
        audit.drop_obstacle(text) TO vigil_audit_reader;
      GRANT EXECUTE ON FUNCTION audit.drop_month(text, text, uuid) TO vigil_compliance;
      GRANT SELECT ON audit.retention_class, audit.retention_drop, audit.kept_entry TO vigil_audit_reader;
      RESET ROLE;
    `)
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DROP FUNCTION audit.drop_month(text, text, uuid), audit.drop_obstacle(text), audit.month_facts(text),
        audit.due_at(text), audit.months(), audit.minimum_index();
      DROP TABLE audit.kept_entry, audit.retention_drop, audit.retention_class;
    `)
  }
}
