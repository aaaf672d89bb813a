import type { MigrationInterface, QueryRunner } from 'typeorm'

/** `audit.append` for many entries at once: the same checks and the same rows, without a function call for each. */
export class AuditAppendAll1764000001502 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      SET LOCAL ROLE vigil_owner;
      CREATE FUNCTION audit.append_all(ids uuid[], entries text[]) RETURNS void
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, audit, pg_temp AS $$
      BEGIN
        IF EXISTS (SELECT FROM unnest(ids, entries) AS e (id, entry)
          WHERE id IS NULL OR (entry::jsonb ->> 'id')::uuid IS DISTINCT FROM id) THEN
          RAISE EXCEPTION 'an entry names another id' USING ERRCODE = 'invalid_parameter_value';
        END IF;
        IF EXISTS (SELECT FROM audit.leaf l WHERE l.entry_id = ANY (ids))
          OR (SELECT count(*) <> count(DISTINCT id) FROM unnest(ids) AS i (id)) THEN
          RAISE EXCEPTION 'the log has an entry of this id' USING ERRCODE = 'unique_violation';
        END IF;
        WITH given AS MATERIALIZED (
          SELECT id, entry, entry::jsonb AS fields, clock_timestamp() AS at
          FROM unnest(ids, entries) AS e (id, entry)
        ), written AS (
          INSERT INTO audit.entry (id, recorded_at, tenant, service, actor_type, actor_id, action, outcome,
            subject_type, subject_id, patient_ref, correlation_id, body)
          SELECT id, at, fields ->> 'tenant', fields ->> 'service', fields #>> '{actor,type}', fields #>> '{actor,id}',
            fields ->> 'action', fields ->> 'outcome', fields #>> '{subject,type}', fields #>> '{subject,id}',
            fields ->> 'patient_ref', (fields ->> 'correlation_id')::uuid,
            convert_to('{"entry":' || entry || ',"recorded_at":"'
              || to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || '"}', 'UTF8')
          FROM given
          RETURNING id, recorded_at, leaf_hash
        )
        INSERT INTO audit.pending (entry_id, recorded_at, leaf_hash) SELECT id, recorded_at, leaf_hash FROM written;
      END $$;
      REVOKE ALL ON FUNCTION audit.append_all(uuid[], text[]) FROM PUBLIC;
      GRANT EXECUTE ON FUNCTION audit.append_all(uuid[], text[]) TO vigil_app;
      RESET ROLE;
    `)
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP FUNCTION audit.append_all(uuid[], text[])')
  }
}
