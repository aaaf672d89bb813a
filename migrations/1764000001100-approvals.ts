import type { MigrationInterface, QueryRunner } from 'typeorm'

/**
 * Acts that need two persons, and legal holds. What destroys something is a SECURITY DEFINER function that calls
 * `approvals.consume` and `holds.refuse_*` itself: no service can go round either. SQLSTATE VG403: not approved;
 * VG409: a legal hold stands in the way.
 */
export class Approvals1764000001100 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      SET LOCAL ROLE vigil_owner;
      CREATE SCHEMA approvals;
      CREATE SCHEMA holds;

      CREATE TABLE approvals.request (
        id uuid PRIMARY KEY,
        tenant text NOT NULL CHECK (tenant <> ''),
        kind text NOT NULL CHECK (kind ~ '^[a-z][a-z-]*\\.[a-z][a-z-]*$'),
        -- What the act is done to: an id, or a patient's keyed hash; never an identifier of a person.
        subject text NOT NULL CHECK (length(subject) BETWEEN 1 AND 128),
        parameters jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(parameters) = 'object'),
        patient_ref text,
        -- Sealed: people write names into reasons.
        reason bytea NOT NULL,
        requested_issuer text NOT NULL,
        requested_subject text NOT NULL,
        requested_client text NOT NULL,
        requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        expires_at timestamptz NOT NULL,
        decision text CHECK (decision IN ('approved', 'rejected')),
        decided_issuer text,
        decided_subject text,
        decided_client text,
        decided_at timestamptz,
        consumed_at timestamptz,
        CHECK (expires_at > requested_at AND expires_at <= requested_at + interval '31 days'),
        CHECK (num_nulls(decision, decided_issuer, decided_subject, decided_client, decided_at) IN (0, 5)),
        -- Whoever asked may take the request back (reject it), and never grant it.
        CONSTRAINT two_persons CHECK (decision IS DISTINCT FROM 'approved'
          OR (decided_issuer, decided_subject) IS DISTINCT FROM (requested_issuer, requested_subject)),
        CHECK (consumed_at IS NULL OR decision IS NOT DISTINCT FROM 'approved')
      );
      CREATE INDEX request_page ON approvals.request (tenant, requested_at DESC, id DESC);
      -- One open request for one act: a second would be a second try at the same thing.
      CREATE UNIQUE INDEX request_open ON approvals.request (tenant, kind, subject) WHERE decision IS NULL;

      -- Makes room for a new request where the open one has run out.
      CREATE FUNCTION approvals.close_expired(of_tenant text, of_kind text, of_subject text) RETURNS void
        LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        UPDATE approvals.request
        SET decision = 'rejected', decided_issuer = 'vigil', decided_subject = 'expiry', decided_client = 'vigil',
          decided_at = clock_timestamp()
        WHERE tenant = of_tenant AND kind = of_kind AND subject = of_subject AND decision IS NULL
          AND expires_at <= clock_timestamp()
      $$;

      -- Records a decision; says how it went: approved, rejected, missing, same_person, expired, decided.
      CREATE FUNCTION approvals.decide(approval uuid, of_tenant text, verdict text, issuer text, subject text, client text)
        RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
      DECLARE
        asked approvals.request;
      BEGIN
        SELECT * INTO asked FROM approvals.request r WHERE r.id = approval AND r.tenant = of_tenant FOR UPDATE;
        IF NOT FOUND THEN RETURN 'missing'; END IF;
        IF asked.decision IS NOT NULL THEN RETURN 'decided'; END IF;
        IF asked.expires_at <= clock_timestamp() THEN RETURN 'expired'; END IF;
        IF verdict = 'approved' AND (asked.requested_issuer, asked.requested_subject) = (issuer, subject) THEN
          RETURN 'same_person';
        END IF;
        UPDATE approvals.request r
        SET decision = verdict, decided_issuer = issuer, decided_subject = decide.subject, decided_client = client,
          decided_at = clock_timestamp()
        WHERE r.id = approval;
        RETURN verdict;
      END $$;

      -- Uses an approval up, in the transaction of the act: approved by another person, for exactly this, in time, once.
      CREATE FUNCTION approvals.consume(approval uuid, of_tenant text, of_kind text, of_subject text,
        with_parameters jsonb DEFAULT '{}') RETURNS void
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
      BEGIN
        UPDATE approvals.request r SET consumed_at = clock_timestamp()
        WHERE r.id = approval AND r.tenant = of_tenant AND r.kind = of_kind AND r.subject = of_subject
          AND r.parameters = with_parameters AND r.decision = 'approved' AND r.consumed_at IS NULL
          AND r.expires_at > clock_timestamp();
        IF NOT FOUND THEN
          RAISE EXCEPTION 'no unused, unexpired approval of this act by a second person' USING ERRCODE = 'VG403';
        END IF;
      END $$;

      -- Retention class of an action; an action that is not listed is of the class "default".
      CREATE TABLE audit.action_class (
        action text PRIMARY KEY CHECK (action ~ '^[A-Z][A-Z0-9_]{2,63}$'),
        class text NOT NULL CHECK (class IN ('phi', 'payment', 'default'))
      );
      INSERT INTO audit.action_class VALUES
        ('AI_ANALYSIS_REQUEST', 'phi'), ('AI_ANALYSIS_SUCCESS', 'phi'), ('AI_ANALYSIS_ERROR', 'phi'),
        ('IMAGE_REJECTED', 'phi'), ('PHI_ACCESS', 'phi'), ('PHI_DISCLOSED', 'phi'), ('PATIENT_ERASED', 'phi'),
        ('TRANSACTION_DECIDED', 'payment'), ('TRANSACTION_LABELLED', 'payment'), ('HISTORY_IMPORTED', 'payment');
      CREATE FUNCTION audit.class_of(an_action text) RETURNS text
        LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
        SELECT coalesce((SELECT class FROM audit.action_class WHERE action = an_action), 'default')
      $$;

      CREATE TABLE holds.hold (
        id uuid PRIMARY KEY,
        tenant text NOT NULL CHECK (tenant <> ''),
        -- What is held: everything of a patient, of a subject or a correlation, or of a period.
        scope text NOT NULL CHECK (scope IN ('patient', 'subject', 'correlation', 'period')),
        patient_ref text,
        subject_id text,
        correlation_id uuid,
        -- Of a period: null is from the beginning, without end, every class.
        from_time timestamptz,
        to_time timestamptz,
        class text CHECK (class IN ('phi', 'payment', 'default')),
        reason bytea NOT NULL,
        placed_issuer text NOT NULL,
        placed_subject text NOT NULL,
        placed_client text NOT NULL,
        placed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        released_at timestamptz,
        release_approval uuid REFERENCES approvals.request,
        CHECK ((scope = 'patient') = (patient_ref IS NOT NULL)),
        CHECK ((scope = 'subject') = (subject_id IS NOT NULL)),
        CHECK ((scope = 'correlation') = (correlation_id IS NOT NULL)),
        CHECK (scope = 'period' OR num_nonnulls(from_time, to_time, class) = 0),
        CHECK (from_time < to_time),
        CHECK ((released_at IS NULL) = (release_approval IS NULL))
      );
      CREATE INDEX hold_page ON holds.hold (tenant, placed_at DESC, id DESC);
      CREATE INDEX hold_standing ON holds.hold (tenant) WHERE released_at IS NULL;

      -- Whether a standing hold covers one thing that is described by any of these.
      CREATE FUNCTION holds.covers(of_tenant text, patient text, subject text, correlation uuid, at timestamptz, of_class text)
        RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        SELECT EXISTS (SELECT FROM holds.hold h WHERE h.tenant = of_tenant AND h.released_at IS NULL AND (
          h.patient_ref = patient OR h.subject_id = subject OR h.correlation_id = correlation
          OR (h.scope = 'period' AND at >= coalesce(h.from_time, '-infinity') AND at < coalesce(h.to_time, 'infinity')
            AND (h.class IS NULL OR h.class = of_class))))
      $$;

      -- Standing holds, of any tenant, on entries that were recorded in [from_at, to_at).
      CREATE FUNCTION holds.on_entries(from_at timestamptz, to_at timestamptz) RETURNS SETOF uuid
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        SELECT h.id FROM holds.hold h WHERE h.released_at IS NULL AND EXISTS (
          SELECT FROM audit.entry e WHERE e.tenant = h.tenant
            AND e.recorded_at >= greatest(from_at, h.from_time) AND e.recorded_at < least(to_at, h.to_time)
            AND (e.patient_ref = h.patient_ref OR h.patient_ref IS NULL)
            AND (e.subject_id = h.subject_id OR h.subject_id IS NULL)
            AND (e.correlation_id = h.correlation_id OR h.correlation_id IS NULL)
            AND (h.class IS NULL OR audit.class_of(e.action) = h.class))
      $$;

      -- Standing holds on a patient, or on any entry that concerns the patient.
      CREATE FUNCTION holds.on_patient(of_tenant text, patient text) RETURNS SETOF uuid
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        SELECT h.id FROM holds.hold h WHERE h.tenant = of_tenant AND h.released_at IS NULL AND (
          h.patient_ref = patient
          OR (h.patient_ref IS NULL AND EXISTS (
            SELECT FROM audit.entry e WHERE e.tenant = of_tenant AND e.patient_ref = patient
              AND e.recorded_at >= coalesce(h.from_time, '-infinity') AND e.recorded_at < coalesce(h.to_time, 'infinity')
              AND (e.subject_id = h.subject_id OR h.subject_id IS NULL)
              AND (e.correlation_id = h.correlation_id OR h.correlation_id IS NULL)
              AND (h.class IS NULL OR audit.class_of(e.action) = h.class))))
      $$;

      -- For functions that destroy: fails where a hold stands, and lets none be placed until the transaction ends.
      CREATE FUNCTION holds.refuse_patient(of_tenant text, patient text) RETURNS void
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
      BEGIN
        LOCK TABLE holds.hold IN SHARE MODE;
        IF EXISTS (SELECT FROM holds.on_patient(of_tenant, patient)) THEN
          RAISE EXCEPTION 'a legal hold covers this patient' USING ERRCODE = 'VG409';
        END IF;
      END $$;
      CREATE FUNCTION holds.refuse_entries(from_at timestamptz, to_at timestamptz) RETURNS void
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
      BEGIN
        LOCK TABLE holds.hold IN SHARE MODE;
        IF EXISTS (SELECT FROM holds.on_entries(from_at, to_at)) THEN
          RAISE EXCEPTION 'a legal hold covers entries of this time' USING ERRCODE = 'VG409';
        END IF;
      END $$;

      CREATE FUNCTION holds.release(hold uuid, of_tenant text, approval uuid) RETURNS void
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
      BEGIN
        PERFORM approvals.consume(approval, of_tenant, 'legal-hold.release', hold::text);
        UPDATE holds.hold h SET released_at = clock_timestamp(), release_approval = approval
        WHERE h.id = hold AND h.tenant = of_tenant AND h.released_at IS NULL;
        IF NOT FOUND THEN
          RAISE EXCEPTION 'there is no such standing hold' USING ERRCODE = 'VG403';
        END IF;
      END $$;

      REVOKE ALL ON ALL FUNCTIONS IN SCHEMA approvals, holds FROM PUBLIC;
      REVOKE ALL ON FUNCTION audit.class_of(text) FROM PUBLIC;
      GRANT USAGE ON SCHEMA approvals, holds, keys TO vigil_compliance;
      GRANT SELECT ON approvals.request, holds.hold TO vigil_compliance;
      -- A request can be made, and not with its decision in it.
      GRANT INSERT (id, tenant, kind, subject, parameters, patient_ref, reason, requested_issuer, requested_subject,
        requested_client, expires_at) ON approvals.request TO vigil_compliance;
      GRANT INSERT (id, tenant, scope, patient_ref, subject_id, correlation_id, from_time, to_time, class, reason,
        placed_issuer, placed_subject, placed_client) ON holds.hold TO vigil_compliance;
      GRANT EXECUTE ON FUNCTION approvals.close_expired(text, text, text),
        approvals.decide(uuid, text, text, text, text, text),
        holds.covers(text, text, text, uuid, timestamptz, text), holds.on_entries(timestamptz, timestamptz),
        holds.on_patient(text, text), holds.release(uuid, text, uuid) TO vigil_compliance;
      GRANT SELECT ON audit.action_class TO vigil_audit_reader;
      GRANT EXECUTE ON FUNCTION audit.class_of(text) TO vigil_audit_reader;
      GRANT SELECT, INSERT ON keys.data_key TO vigil_compliance;
      RESET ROLE;
    `)
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DROP SCHEMA holds CASCADE;
      DROP SCHEMA approvals CASCADE;
      DROP FUNCTION audit.class_of(text);
      DROP TABLE audit.action_class;
    `)
  }
}
