import type { MigrationInterface, QueryRunner } from 'typeorm'

/** Wrapped data keys, one for each subject and purpose. Destroying one erases what it sealed. */
export class Keys1764000000300 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      SET LOCAL ROLE vigil_owner;
      CREATE TABLE keys.data_key (
        id uuid PRIMARY KEY,
        tenant text NOT NULL,
        purpose text NOT NULL,
        -- Keyed hash of the patient or account, never the identifier itself.
        subject text NOT NULL,
        wrapped bytea,
        created_at timestamptz NOT NULL DEFAULT now(),
        destroyed_at timestamptz,
        UNIQUE (tenant, purpose, subject),
        CHECK ((wrapped IS NULL) = (destroyed_at IS NOT NULL))
      );
      GRANT USAGE ON SCHEMA keys TO vigil_imaging;
      GRANT SELECT, INSERT ON keys.data_key TO vigil_imaging;
      RESET ROLE;
    `)
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE keys.data_key')
  }
}
