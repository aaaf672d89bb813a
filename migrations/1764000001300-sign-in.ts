import type { MigrationInterface, QueryRunner } from 'typeorm'

/**
 * What an authorization server keeps: clients with several secrets or a key of their own, people with a second
 * factor, sessions and codes that expire, attempts that failed, API keys, and signing keys that take turns.
 */
export class SignIn1764000001300 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DO $$
      BEGIN
        -- For the operator's commands: clients, people and API keys are never written by a service.
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'vigil_identity') THEN
          CREATE ROLE vigil_identity LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE;
        END IF;
        GRANT vigil_app TO vigil_identity;
      END $$;
      SET LOCAL ROLE vigil_owner;

      CREATE TABLE identity.client_secret (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        client_id text NOT NULL REFERENCES identity.client,
        -- 32 random bytes: SHA-256 is enough, a slow hash is for what people choose.
        secret_sha256 bytea NOT NULL CHECK (octet_length(secret_sha256) = 32),
        created_at timestamptz NOT NULL DEFAULT now(),
        expires_at timestamptz
      );
      CREATE INDEX client_secret_client ON identity.client_secret (client_id);
      INSERT INTO identity.client_secret (client_id, secret_sha256, created_at)
        SELECT client_id, secret_sha256, created_at FROM identity.client;
      ALTER TABLE identity.client
        DROP COLUMN secret_sha256,
        ADD COLUMN auth_method text NOT NULL DEFAULT 'client_secret'
          CHECK (auth_method IN ('client_secret', 'private_key_jwt', 'none')),
        -- Public keys of a client that signs its assertions (RFC 7523).
        ADD COLUMN jwks jsonb,
        -- Where people come back to; one that begins with a slash is on the issuer itself.
        ADD COLUMN redirect_uris text[] NOT NULL DEFAULT '{}',
        ADD COLUMN application_type text NOT NULL DEFAULT 'web' CHECK (application_type IN ('web', 'native')),
        -- Ours: people are not asked whether it may act for them.
        ADD COLUMN first_party boolean NOT NULL DEFAULT false,
        -- Its tokens work only over TLS with the certificate it had when it asked (RFC 8705).
        ADD COLUMN certificate_bound boolean NOT NULL DEFAULT false,
        ADD CHECK ((auth_method = 'private_key_jwt') = (jwks IS NOT NULL)),
        ADD CHECK (auth_method <> 'none' OR cardinality(redirect_uris) > 0);

      CREATE TABLE identity.person (
        id uuid PRIMARY KEY,
        tenant text NOT NULL DEFAULT 'default',
        name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
        email text NOT NULL UNIQUE CHECK (email = lower(email) AND length(email) <= 254),
        password_hash text NOT NULL CHECK (password_hash LIKE '$argon2id$%'),
        roles text[] NOT NULL CHECK (cardinality(roles) > 0
          AND roles <@ ARRAY['analyst', 'radiologist', 'auditor', 'privacy-officer', 'operator']),
        -- The TOTP secret, sealed, and the last time step whose code was used: a code works once.
        totp_sealed bytea,
        totp_step bigint NOT NULL DEFAULT 0,
        created_at timestamptz NOT NULL DEFAULT now(),
        disabled_at timestamptz
      );
      CREATE TABLE identity.recovery_code (
        person_id uuid NOT NULL REFERENCES identity.person ON DELETE CASCADE,
        code_sha256 bytea NOT NULL CHECK (octet_length(code_sha256) = 32),
        used_at timestamptz,
        PRIMARY KEY (person_id, code_sha256)
      );

      -- Failed sign-ins by keyed hash of the account or of the address, whether the account exists or not.
      CREATE TABLE identity.sign_in_attempt (
        key bytea PRIMARY KEY CHECK (octet_length(key) = 32),
        failures int NOT NULL CHECK (failures >= 0),
        last_at timestamptz NOT NULL,
        locked_until timestamptz
      );
      CREATE INDEX sign_in_attempt_last ON identity.sign_in_attempt (last_at);

      -- Sessions, grants, codes, used assertions. Whoever reads this table can use none of them: ids are hashed,
      -- contents are sealed.
      CREATE TABLE identity.artifact (
        model text NOT NULL,
        id_sha256 bytea NOT NULL CHECK (octet_length(id_sha256) = 32),
        sealed bytea NOT NULL,
        uid_sha256 bytea,
        grant_sha256 bytea,
        consumed_at timestamptz,
        expires_at timestamptz NOT NULL,
        PRIMARY KEY (model, id_sha256)
      );
      CREATE INDEX artifact_expires ON identity.artifact (expires_at);
      CREATE INDEX artifact_uid ON identity.artifact (uid_sha256) WHERE uid_sha256 IS NOT NULL;
      CREATE INDEX artifact_grant ON identity.artifact (grant_sha256) WHERE grant_sha256 IS NOT NULL;

      CREATE TABLE identity.api_key (
        id text PRIMARY KEY CHECK (id ~ '^[a-z0-9]{12}$'),
        client_id text NOT NULL REFERENCES identity.client,
        secret_sha256 bytea NOT NULL CHECK (octet_length(secret_sha256) = 32),
        scopes text[] NOT NULL CHECK (cardinality(scopes) > 0),
        created_at timestamptz NOT NULL DEFAULT now(),
        expires_at timestamptz NOT NULL,
        revoked_at timestamptz,
        last_used_at timestamptz
      );
      CREATE INDEX api_key_client ON identity.api_key (client_id);

      -- Any service looks a key up by its id and says that it was used; none can list or change keys.
      CREATE FUNCTION identity.find_api_key(wanted text)
        RETURNS TABLE (client_id text, tenant text, secret_sha256 bytea, scopes text[], expires_at timestamptz)
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, identity, pg_temp AS $$
        SELECT k.client_id, c.tenant, k.secret_sha256, k.scopes, k.expires_at
        FROM identity.api_key k JOIN identity.client c USING (client_id)
        WHERE k.id = wanted AND k.revoked_at IS NULL AND c.revoked_at IS NULL AND k.expires_at > now()
      $$;
      CREATE FUNCTION identity.touch_api_key(used text) RETURNS void
        LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, identity, pg_temp AS $$
        UPDATE identity.api_key SET last_used_at = now()
        WHERE id = used AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
      $$;

      -- A key is published before it signs.
      ALTER TABLE identity.signing_key ADD COLUMN signs_from timestamptz NOT NULL DEFAULT now();

      REVOKE ALL ON ALL FUNCTIONS IN SCHEMA identity FROM PUBLIC;
      GRANT USAGE ON SCHEMA identity TO vigil_app, vigil_identity;
      GRANT EXECUTE ON FUNCTION identity.find_api_key(text), identity.touch_api_key(text) TO vigil_app;
      GRANT SELECT ON identity.client_secret, identity.person TO vigil_compliance;
      GRANT UPDATE (totp_sealed, totp_step, password_hash) ON identity.person TO vigil_compliance;
      GRANT SELECT, INSERT, UPDATE (used_at), DELETE ON identity.recovery_code TO vigil_compliance;
      GRANT SELECT, INSERT, UPDATE, DELETE ON identity.sign_in_attempt, identity.artifact TO vigil_compliance;
      GRANT DELETE ON identity.signing_key TO vigil_compliance;
      GRANT SELECT, INSERT, UPDATE, DELETE ON identity.client_secret TO vigil_identity;
      GRANT SELECT, INSERT, UPDATE ON identity.client, identity.person, identity.api_key TO vigil_identity;
      GRANT SELECT, INSERT, DELETE ON identity.recovery_code, identity.signing_key TO vigil_identity;
      GRANT UPDATE (retired_at) ON identity.signing_key TO vigil_identity;
      GRANT SELECT, DELETE ON identity.sign_in_attempt TO vigil_identity;
      RESET ROLE;
    `)
  }

  async down(): Promise<void> {
    throw new Error('Secrets cannot be put back where they were: restore a backup instead')
  }
}
