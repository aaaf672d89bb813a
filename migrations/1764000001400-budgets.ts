import type { MigrationInterface, QueryRunner } from 'typeorm'

/** Budgets of requests: counters that the replicas share, and clients whose budgets differ from the common ones. */
export class Budgets1764000001400 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      SET LOCAL ROLE vigil_owner;
      CREATE SCHEMA access AUTHORIZATION vigil_owner;
      -- Columns as rate-limiter-flexible names them. Not logged: a crash may forget a minute of counting.
      CREATE UNLOGGED TABLE access.rate (
        key varchar(255) PRIMARY KEY,
        points integer NOT NULL DEFAULT 0,
        expire bigint
      ) WITH (fillfactor = 50);
      CREATE TABLE access.client_limit (
        tenant text NOT NULL,
        client_id text NOT NULL,
        budget text NOT NULL CHECK (budget IN ('transactions', 'predict', 'images', 'default')),
        per_minute integer NOT NULL CHECK (per_minute BETWEEN 1 AND 100000000),
        PRIMARY KEY (tenant, client_id, budget)
      );
      GRANT USAGE ON SCHEMA access TO vigil_app;
      GRANT SELECT, INSERT, UPDATE, DELETE ON access.rate TO vigil_app;
      GRANT SELECT ON access.client_limit TO vigil_app;
      RESET ROLE;
    `)
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP SCHEMA access CASCADE')
  }
}
