import type { MigrationInterface, QueryRunner } from 'typeorm'

/**
 * What turns keys over and destroys them. `vigil_keys` may exchange a wrapped key for another of the same row and
 * nothing else; it reads no sealed data.
 */
export class KeyRotation1764000001200 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DO $$ BEGIN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'vigil_keys') THEN
          CREATE ROLE vigil_keys LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE;
        END IF;
        GRANT vigil_app TO vigil_keys;
      END $$;
      SET LOCAL ROLE vigil_owner;

      -- Each service sees the keys of its own purposes: "imaging" and "imaging.notes" are of imaging.
      ALTER TABLE keys.data_key ENABLE ROW LEVEL SECURITY;
      CREATE POLICY imaging ON keys.data_key TO vigil_imaging USING (purpose = 'imaging' OR purpose LIKE 'imaging._%');
      CREATE POLICY fraud ON keys.data_key TO vigil_fraud USING (purpose = 'fraud' OR purpose LIKE 'fraud._%');
      CREATE POLICY compliance ON keys.data_key TO vigil_compliance
        USING (purpose NOT SIMILAR TO '(imaging|fraud)(.%)?');
      GRANT USAGE ON SCHEMA keys TO vigil_fraud, vigil_compliance, vigil_keys;
      GRANT SELECT, INSERT ON keys.data_key TO vigil_fraud, vigil_compliance;

      -- What the lasting keys (blind indexes, pseudonyms) derive from, where another service than the keyring file wraps.
      CREATE TABLE keys.root (
        singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
        wrapped bytea NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now()
      );
      GRANT SELECT, INSERT ON keys.root TO vigil_fraud, vigil_imaging, vigil_compliance;

      -- A blob's key can be destroyed; its ciphertext is garbage from then on.
      ALTER TABLE imaging.blob ALTER COLUMN wrapped_key DROP NOT NULL;
      ALTER TABLE imaging.blob ADD COLUMN destroyed_at timestamptz;
      ALTER TABLE imaging.blob ADD CHECK ((wrapped_key IS NULL) = (destroyed_at IS NOT NULL));

      -- How far a rotation came: one row each, the unfinished one is resumed.
      CREATE TABLE keys.rotation (
        id uuid PRIMARY KEY,
        version text NOT NULL,
        started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        -- Where the next batch begins: kind of key, and the last id that was seen of it.
        kind text,
        after text,
        seen bigint NOT NULL DEFAULT 0 CHECK (seen >= 0),
        rewrapped bigint NOT NULL DEFAULT 0 CHECK (rewrapped >= 0),
        total bigint NOT NULL CHECK (total >= 0),
        finished_at timestamptz
      );
      CREATE UNIQUE INDEX one_rotation_at_a_time ON keys.rotation ((finished_at IS NULL)) WHERE finished_at IS NULL;
      GRANT SELECT, INSERT, UPDATE ON keys.rotation TO vigil_keys;
      GRANT SELECT ON keys.rotation TO vigil_compliance;

      -- Every wrapped key of the house, by kind. The context it is bound to is a JSON array of these parts.
      CREATE FUNCTION keys.wrapped_keys(kind text, after text, batch int)
        RETURNS TABLE (id text, wrapped bytea, context text[])
        LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
      BEGIN
        CASE kind
          WHEN 'root' THEN RETURN QUERY
            SELECT 'root', r.wrapped, ARRAY['root-secret'] FROM keys.root r WHERE after IS NULL;
          WHEN 'token-signing-key' THEN RETURN QUERY
            SELECT k.kid, k.sealed_private_key, ARRAY['token-signing-key ' || k.kid] FROM identity.signing_key k
            WHERE after IS NULL OR k.kid > after ORDER BY k.kid LIMIT batch;
          WHEN 'data-key' THEN RETURN QUERY
            SELECT k.id::text, k.wrapped, ARRAY['data-key', k.id::text, k.tenant, k.purpose, k.subject]
            FROM keys.data_key k WHERE k.wrapped IS NOT NULL AND (after IS NULL OR k.id > after::uuid)
            ORDER BY k.id LIMIT batch;
          WHEN 'blob' THEN RETURN QUERY
            SELECT b.id::text, b.wrapped_key, ARRAY['blob', b.id::text, b.tenant, b.kind]
            FROM imaging.blob b WHERE b.wrapped_key IS NOT NULL AND (after IS NULL OR b.id > after::uuid)
            ORDER BY b.id LIMIT batch;
        END CASE;
      END $$;

      CREATE FUNCTION keys.count_wrapped() RETURNS bigint
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        SELECT (SELECT count(*) FROM keys.root) + (SELECT count(*) FROM identity.signing_key)
          + (SELECT count(*) FROM keys.data_key WHERE wrapped IS NOT NULL)
          + (SELECT count(*) FROM imaging.blob WHERE wrapped_key IS NOT NULL)
      $$;

      -- Exchanges a wrapped key for the same under another key-encryption key. One that was destroyed or changed
      -- since it was read stays as it is: false.
      CREATE FUNCTION keys.swap_wrapped(kind text, key_id text, old bytea, new bytea) RETURNS boolean
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
      BEGIN
        IF old IS NULL OR new IS NULL OR octet_length(new) < 32 THEN
          RAISE EXCEPTION 'that is no wrapped key' USING ERRCODE = 'invalid_parameter_value';
        END IF;
        CASE kind
          WHEN 'root' THEN UPDATE keys.root r SET wrapped = new WHERE r.wrapped = old;
          WHEN 'token-signing-key' THEN
            UPDATE identity.signing_key k SET sealed_private_key = new WHERE k.kid = key_id AND k.sealed_private_key = old;
          WHEN 'data-key' THEN
            UPDATE keys.data_key k SET wrapped = new WHERE k.id = key_id::uuid AND k.wrapped = old;
          WHEN 'blob' THEN
            UPDATE imaging.blob b SET wrapped_key = new WHERE b.id = key_id::uuid AND b.wrapped_key = old;
        END CASE;
        RETURN FOUND;
      END $$;

      REVOKE ALL ON FUNCTION keys.wrapped_keys(text, text, int), keys.count_wrapped(),
        keys.swap_wrapped(text, text, bytea, bytea) FROM PUBLIC;
      GRANT EXECUTE ON FUNCTION keys.wrapped_keys(text, text, int), keys.count_wrapped(),
        keys.swap_wrapped(text, text, bytea, bytea) TO vigil_keys;
      RESET ROLE;
    `)
  }

  async down(): Promise<void> {
    throw new Error('Keys that were re-wrapped cannot be given back to those that knew the old ones')
  }
}
