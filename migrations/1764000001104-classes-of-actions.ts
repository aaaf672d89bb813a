import type { MigrationInterface, QueryRunner } from 'typeorm'

/** Retention classes of further actions that concern a patient, and the keys of what entries seal. */
export class ClassesOfActions1764000001104 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      SET LOCAL ROLE vigil_owner;
      INSERT INTO audit.action_class (action, class) SELECT action, 'phi' FROM unnest(ARRAY['AUDIT_OPENED',
        'DISCLOSURES_REPORTED', 'ERASURE_READ', 'BREAK_GLASS_GRANTED', 'BREAK_GLASS_READ', 'BREAK_GLASS_REVIEWED',
        'BREAK_GLASS_EXAMINED', 'BREAK_GLASS_LISTED']) AS action;
      -- What identifies a person in an entry is sealed by the service that writes it, under a key for the trail alone.
      CREATE POLICY imaging_trail ON keys.data_key TO vigil_imaging USING (purpose = 'audit');
      RESET ROLE;
    `)
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DROP POLICY imaging_trail ON keys.data_key;
      DELETE FROM audit.action_class WHERE action IN ('AUDIT_OPENED', 'DISCLOSURES_REPORTED', 'ERASURE_READ')
        OR action LIKE 'BREAK\\_GLASS\\_%'
    `)
  }
}
