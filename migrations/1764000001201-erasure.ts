import type { MigrationInterface, QueryRunner } from 'typeorm'

/** Erasing a patient: a function that two persons must have agreed to, and that a legal hold stops. */
export class Erasure1764000001201 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      SET LOCAL ROLE vigil_owner;

      -- What is known of a subject: which of its keyed hashes (one for each live version of the index) is in use,
      -- and what became of its keys.
      CREATE FUNCTION keys.subject_state(of_tenant text, refs text[])
        RETURNS TABLE (subject text, live bigint, destroyed bigint, destroyed_at timestamptz)
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        SELECT k.subject, count(k.wrapped), count(*) - count(k.wrapped), max(k.destroyed_at)
        FROM keys.data_key k WHERE k.tenant = of_tenant AND k.subject = ANY(refs)
        GROUP BY k.subject ORDER BY min(k.created_at)
      $$;

      -- Destroys every key of a subject, in the caller's transaction: of all purposes, and of the files that are of
      -- its images. Demands an approval of a second person, which it uses up, and that no legal hold covers the
      -- subject. What was sealed under these keys cannot be read once it commits; images under way end.
      CREATE FUNCTION keys.destroy_subject(of_tenant text, of_subject text, approval uuid,
        OUT data_keys bigint, OUT files bigint, OUT images bigint)
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
      DECLARE
        of_images uuid[];
      BEGIN
        PERFORM approvals.consume(approval, of_tenant, 'patient.erasure', of_subject);
        PERFORM holds.refuse_patient(of_tenant, of_subject);
        -- Whoever seals something for this subject holds the lock shared until it is committed (dataKeyFor).
        PERFORM pg_advisory_xact_lock(hashtextextended('data-key ' || of_tenant || ' ' || of_subject, 0));

        UPDATE keys.data_key k SET wrapped = NULL, destroyed_at = clock_timestamp()
        WHERE k.tenant = of_tenant AND k.subject = of_subject AND k.wrapped IS NOT NULL;
        GET DIAGNOSTICS data_keys = ROW_COUNT;

        UPDATE imaging.image i SET status = 'failed', failure = 'patient_erased', result = NULL,
          deidentification = NULL, finished_at = coalesce(i.finished_at, clock_timestamp()),
          progressed_at = clock_timestamp()
        WHERE i.tenant = of_tenant AND i.patient_ref = of_subject AND i.failure IS DISTINCT FROM 'patient_erased';
        GET DIAGNOSTICS images = ROW_COUNT;
        of_images := ARRAY(SELECT i.correlation_id FROM imaging.image i
          WHERE i.tenant = of_tenant AND i.patient_ref = of_subject);

        UPDATE imaging.blob b SET wrapped_key = NULL, destroyed_at = clock_timestamp()
        WHERE b.tenant = of_tenant AND b.wrapped_key IS NOT NULL AND b.id IN (
          SELECT unnest(ARRAY[i.original, i.deidentified]) FROM imaging.image i WHERE i.correlation_id = ANY(of_images));
        GET DIAGNOSTICS files = ROW_COUNT;

        DELETE FROM imaging.outbox o WHERE o.subject = ANY(of_images);
      END $$;

      REVOKE ALL ON FUNCTION keys.subject_state(text, text[]), keys.destroy_subject(text, text, uuid) FROM PUBLIC;
      GRANT EXECUTE ON FUNCTION keys.subject_state(text, text[]) TO vigil_imaging, vigil_compliance;
      GRANT EXECUTE ON FUNCTION keys.destroy_subject(text, text, uuid) TO vigil_compliance;
      RESET ROLE;
    `)
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(
      'DROP FUNCTION keys.destroy_subject(text, text, uuid); DROP FUNCTION keys.subject_state(text, text[])',
    )
  }
}
