import type { MigrationInterface, QueryRunner } from 'typeorm'

/** Emergency access: who was let through, what they looked at, who judged it. Nothing of it can be changed. */
export class BreakGlass1764000001401 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      SET LOCAL ROLE vigil_owner;
      CREATE TABLE imaging.break_glass (
        id uuid PRIMARY KEY,
        tenant text NOT NULL,
        correlation_id uuid NOT NULL REFERENCES imaging.image,
        patient_ref text NOT NULL,
        actor_type text NOT NULL CHECK (actor_type IN ('client', 'user')),
        actor_id text NOT NULL,
        purpose text NOT NULL CHECK (purpose ~ '^[A-Z]{4,16}$'),
        -- Sealed under the patient's data key.
        explanation bytea NOT NULL,
        granted_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        CHECK (expires_at > granted_at AND expires_at <= granted_at + interval '24 hours')
      );
      CREATE INDEX break_glass_tenant ON imaging.break_glass (tenant, id);
      CREATE TABLE imaging.break_glass_read (
        grant_id uuid NOT NULL REFERENCES imaging.break_glass,
        audit_entry_id uuid NOT NULL,
        read_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (grant_id, audit_entry_id)
      );
      CREATE TABLE imaging.break_glass_review (
        grant_id uuid PRIMARY KEY REFERENCES imaging.break_glass,
        reviewer_type text NOT NULL CHECK (reviewer_type IN ('client', 'user')),
        reviewer_id text NOT NULL,
        outcome text NOT NULL CHECK (outcome IN ('justified', 'not_justified')),
        -- Sealed under the patient's data key.
        note bytea,
        reviewed_at timestamptz NOT NULL DEFAULT clock_timestamp()
      );
      GRANT SELECT, INSERT ON imaging.break_glass, imaging.break_glass_read, imaging.break_glass_review
        TO vigil_imaging;
      RESET ROLE;
    `)
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE imaging.break_glass_review, imaging.break_glass_read, imaging.break_glass')
  }
}
