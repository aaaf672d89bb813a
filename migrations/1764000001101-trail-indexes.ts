import type { MigrationInterface, QueryRunner } from 'typeorm'

/**
 * Indexes under which every combination of actor, action, outcome and service is a few ordered ranges: outcome and
 * service have three values each, so that what is not asked for is enumerated (apps/compliance/src/trail/query.ts).
 */
export class TrailIndexes1764000001101 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      SET LOCAL ROLE vigil_owner;
      CREATE INDEX entry_kind ON audit.entry (tenant, outcome, service, recorded_at DESC, id DESC);
      CREATE INDEX entry_action_kind ON audit.entry (tenant, action, outcome, service, recorded_at DESC, id DESC);
      CREATE INDEX entry_actor_kind ON audit.entry (tenant, actor_id, outcome, service, recorded_at DESC, id DESC);
      CREATE INDEX entry_actor_action_kind
        ON audit.entry (tenant, actor_id, action, outcome, service, recorded_at DESC, id DESC);
      DROP INDEX audit.entry_actor;
      DROP INDEX audit.entry_action;
      RESET ROLE;
    `)
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      SET LOCAL ROLE vigil_owner;
      CREATE INDEX entry_actor ON audit.entry (tenant, actor_id, recorded_at DESC, id DESC);
      CREATE INDEX entry_action ON audit.entry (tenant, action, recorded_at DESC, id DESC);
      DROP INDEX audit.entry_kind, audit.entry_action_kind, audit.entry_actor_kind, audit.entry_actor_action_kind;
      RESET ROLE;
    `)
  }
}
