import type { MigrationInterface, QueryRunner } from 'typeorm'

/** Payments that are old are dropped month by month: the service may ask for that, and for nothing younger than 90 days. */
export class FraudRetention1764000001501 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      SET LOCAL ROLE vigil_owner;
      CREATE FUNCTION fraud.refuse_young(before timestamptz) RETURNS void LANGUAGE plpgsql AS $$
      BEGIN
        IF before > clock_timestamp() - interval '90 days' OR before IS NULL THEN
          RAISE EXCEPTION 'payments are kept for 90 days at least' USING ERRCODE = 'insufficient_privilege';
        END IF;
      END $$;

      -- Frees some ids of payments received before a time, with their labels; the caller comes again until there is none.
      CREATE FUNCTION fraud.forget_ids(before timestamptz, most int) RETURNS int
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, fraud, pg_temp AS $$
      DECLARE
        freed int;
      BEGIN
        PERFORM fraud.refuse_young(before);
        WITH old AS (SELECT tenant, transaction_id FROM fraud.transaction_id WHERE received_at < before LIMIT most),
          unlabelled AS (DELETE FROM fraud.label l USING old o
            WHERE l.tenant = o.tenant AND l.transaction_id = o.transaction_id)
        DELETE FROM fraud.transaction_id i USING old o
          WHERE i.tenant = o.tenant AND i.transaction_id = o.transaction_id;
        GET DIAGNOSTICS freed = ROW_COUNT;
        RETURN freed;
      END $$;

      -- Drops the months that end before a time, and what was received then but stands in no month of its own.
      CREATE FUNCTION fraud.drop_months(before timestamptz) RETURNS text[]
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, fraud, pg_temp SET lock_timeout = '2s' AS $$
      DECLARE
        part record;
        dropped text[] := '{}';
      BEGIN
        PERFORM fraud.refuse_young(before);
        FOR part IN
          SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
          WHERE i.inhparent IN ('fraud.transaction'::regclass, 'fraud.decision'::regclass)
            AND c.relname ~ '_\\d{4}_\\d{2}$'
            AND (to_date(right(c.relname, 7), 'YYYY_MM') + interval '1 month')::timestamp AT TIME ZONE 'UTC' <= before
          ORDER BY c.relname
        LOOP
          EXECUTE format('DROP TABLE fraud.%I', part.relname);
          dropped := dropped || part.relname::text;
        END LOOP;
        DELETE FROM fraud.decision_default WHERE decided_at < before;
        DELETE FROM fraud.transaction_default WHERE received_at < before;
        DELETE FROM fraud.outbox WHERE created_at < before;
        RETURN dropped;
      END $$;

      REVOKE ALL ON ALL FUNCTIONS IN SCHEMA fraud FROM PUBLIC;
      GRANT EXECUTE ON FUNCTION fraud.forget_ids(timestamptz, int), fraud.drop_months(timestamptz) TO vigil_fraud;
      RESET ROLE;
    `)
  }

  async down(): Promise<void> {
    throw new Error('What was dropped does not come back: restore a backup')
  }
}
