import type { MigrationInterface, QueryRunner } from 'typeorm'

/** Machine clients (secrets hashed) and the token signing keys (private part sealed). */
export class Identity1764000000400 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      SET LOCAL ROLE vigil_owner;
      CREATE TABLE identity.client (
        client_id text PRIMARY KEY CHECK (client_id ~ '^[A-Za-z0-9_-]{1,64}$'),
        name text NOT NULL,
        tenant text NOT NULL DEFAULT 'default',
        -- 32 random bytes: SHA-256 is enough, a slow hash is for what people choose.
        secret_sha256 bytea NOT NULL CHECK (octet_length(secret_sha256) = 32),
        scopes text[] NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        revoked_at timestamptz
      );
      CREATE TABLE identity.signing_key (
        kid text PRIMARY KEY,
        alg text NOT NULL CHECK (alg = 'ES256'),
        public_jwk jsonb NOT NULL,
        -- Private JWK sealed by the key provider.
        sealed_private_key bytea NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        retired_at timestamptz
      );
      GRANT USAGE ON SCHEMA identity TO vigil_compliance;
      GRANT SELECT ON identity.client TO vigil_compliance;
      GRANT SELECT, INSERT ON identity.signing_key TO vigil_compliance;
      RESET ROLE;
    `)
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE identity.signing_key, identity.client')
  }
}
