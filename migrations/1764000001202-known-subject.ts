import type { MigrationInterface, QueryRunner } from 'typeorm'

/** While an index has more than one live version, a subject keeps the keyed hash that it is known by already. */
export class KnownSubject1764000001202 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      SET LOCAL ROLE vigil_owner;
      -- Which of a subject's keyed hashes is in use: for its keys, a legal hold, or in the trail; null where none is.
      CREATE FUNCTION keys.known_subject(of_tenant text, refs text[]) RETURNS text
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        SELECT coalesce(
          (SELECT k.subject FROM keys.data_key k WHERE k.tenant = of_tenant AND k.subject = ANY(refs)
           ORDER BY k.created_at LIMIT 1),
          (SELECT h.patient_ref FROM holds.hold h WHERE h.tenant = of_tenant AND h.patient_ref = ANY(refs)
           ORDER BY h.placed_at LIMIT 1),
          (SELECT e.patient_ref FROM audit.entry e WHERE e.tenant = of_tenant AND e.patient_ref = ANY(refs)
           ORDER BY e.recorded_at LIMIT 1))
      $$;
      REVOKE ALL ON FUNCTION keys.known_subject(text, text[]) FROM PUBLIC;
      GRANT EXECUTE ON FUNCTION keys.known_subject(text, text[]) TO vigil_imaging, vigil_compliance;
      RESET ROLE;
    `)
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP FUNCTION keys.known_subject(text, text[])')
  }
}
