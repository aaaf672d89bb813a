import type { MigrationInterface, QueryRunner } from 'typeorm'

/** Roles with the least privilege each needs, and the schemas they meet in. Passwords are set by `migrate`. */
export class Roles1764000000100 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DO $$
      DECLARE
        role text;
      BEGIN
        FOREACH role IN ARRAY ARRAY['vigil_owner', 'vigil_app', 'vigil_audit_reader'] LOOP
          IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role);
          END IF;
        END LOOP;
        FOREACH role IN ARRAY ARRAY['vigil_fraud', 'vigil_imaging', 'vigil_compliance', 'vigil_sequencer'] LOOP
          IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE', role);
          END IF;
        END LOOP;
        GRANT vigil_app TO vigil_fraud, vigil_imaging, vigil_compliance;
        GRANT vigil_audit_reader TO vigil_compliance;
        EXECUTE format('GRANT vigil_owner TO %I', current_user);
        EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO vigil_app, vigil_sequencer', current_database());
        EXECUTE format('GRANT CREATE ON DATABASE %I TO vigil_owner', current_database());
      END $$;
      REVOKE ALL ON SCHEMA public FROM PUBLIC;
      CREATE SCHEMA IF NOT EXISTS audit AUTHORIZATION vigil_owner;
      CREATE SCHEMA IF NOT EXISTS keys AUTHORIZATION vigil_owner;
      CREATE SCHEMA IF NOT EXISTS identity AUTHORIZATION vigil_owner;
      CREATE SCHEMA IF NOT EXISTS fraud AUTHORIZATION vigil_owner;
      CREATE SCHEMA IF NOT EXISTS imaging AUTHORIZATION vigil_owner;
      CREATE SCHEMA IF NOT EXISTS bullmq AUTHORIZATION vigil_imaging;
    `)
  }

  async down(): Promise<void> {
    throw new Error('The first migration is not reversible: drop the database instead')
  }
}
