-- The tables of the ledger. Nobody but the owner has a right on them: every read and write from
-- outside goes through the functions and views of the later migrations.
--
-- One lock order for every function: service rows by name, version, release, operation, step,
-- delivery, event. Times are the database's; ages and waits are computed here, never by a client.

CREATE SCHEMA IF NOT EXISTS rollbackd;

-- A new function must never be executable by everybody, not even between two statements.
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

CREATE TABLE IF NOT EXISTS rollbackd.migration (
        number          int PRIMARY KEY,
        name            text NOT NULL,
        checksum        text NOT NULL,
        applied_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The schema's version and the oldest daemon (by the schema that it was built for) that may run on
-- it. A later migration replaces this view.
CREATE VIEW rollbackd.schema AS SELECT 1 AS version, 1 AS oldest_daemon;

CREATE TABLE rollbackd.service (
        name            text PRIMARY KEY
                        CONSTRAINT service_name CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9._+-]{0,62}$'),
        active          text NOT NULL,
        epoch           int8 NOT NULL CHECK (epoch > 0),
        released_at     timestamptz NOT NULL,
        pinned_until    timestamptz CHECK (isfinite(pinned_until)),
        pin_reason      text,
        paused_until    timestamptz CHECK (isfinite(paused_until)),
        pause_reason    text,
        automatic       boolean NOT NULL DEFAULT true,
        -- How often a person said resume(): the daemon then tries again what had failed.
        resumes         int8 NOT NULL DEFAULT 0,
        -- A rolling deploy holds automatic acts until deploy_done(), at the latest until then.
        deploying_until timestamptz CHECK (isfinite(deploying_until)),
        -- From when the cooldown counts; null after a person's deploy.
        cooldown_from   timestamptz,
        -- Kept here so that nobody has to read all releases: newest barrier, greatest schema_min.
        barrier_epoch   int8 NOT NULL DEFAULT 0,
        schema_current  int8
) WITH (fillfactor = 50);

-- What is known of a version as such. `epoch` is its newest release, null if it was only banned.
CREATE TABLE rollbackd.version (
        service         text NOT NULL REFERENCES rollbackd.service,
        version         text NOT NULL
                        CONSTRAINT version_name
                        CHECK (version ~ '^[A-Za-z0-9][A-Za-z0-9._+-]{0,62}$'),
        epoch           int8,
        stable_at       timestamptz,
        schema_max      int8,
        -- Rolled back from, by this operation.
        quarantined_until timestamptz,
        reason          text,
        quarantined_by  uuid,
        -- Banned by a person, whatever happened to it.
        banned_until    timestamptz,
        ban_reason      text,
        PRIMARY KEY (service, version)
) WITH (fillfactor = 80);
CREATE INDEX version_newest ON rollbackd.version (service, epoch DESC) WHERE epoch IS NOT NULL;
CREATE INDEX version_stable ON rollbackd.version (service, epoch DESC)
        WHERE stable_at IS NOT NULL;

CREATE TABLE rollbackd.release (
        service         text NOT NULL REFERENCES rollbackd.service,
        epoch           int8 NOT NULL,
        version         text NOT NULL,
        kind            text NOT NULL
                        CHECK (kind IN ('register', 'deploy', 'rollback', 'restore')),
        code_ref        text CONSTRAINT release_code_ref CHECK (length(code_ref) <= 200),
        api_version     text CONSTRAINT release_api_version CHECK (length(api_version) <= 63),
        schema_min      int8,
        schema_max      int8,
        barrier         boolean NOT NULL DEFAULT false,
        artefact        text CONSTRAINT release_artefact CHECK (length(artefact) <= 1000),
        actor           text NOT NULL CONSTRAINT release_actor CHECK (length(actor) <= 200),
        source          text CONSTRAINT release_source CHECK (length(source) <= 200),
        note            text CONSTRAINT release_note CHECK (length(note) <= 1000),
        at              timestamptz NOT NULL,
        stable_at       timestamptz,
        PRIMARY KEY (service, epoch),
        CONSTRAINT release_schema_range CHECK (schema_min <= schema_max)
);
CREATE INDEX release_api_version ON rollbackd.release (service, api_version, epoch DESC)
        WHERE api_version IS NOT NULL;
CREATE INDEX release_stable ON rollbackd.release (service, version) WHERE stable_at IS NOT NULL;

CREATE TABLE rollbackd.operation (
        id              uuid PRIMARY KEY,
        service         text NOT NULL REFERENCES rollbackd.service,
        kind            text NOT NULL CHECK (kind IN ('rollback', 'restore')),
        automatic       boolean NOT NULL,
        parent          uuid,
        from_epoch      int8 NOT NULL,
        to_epoch        int8 NOT NULL,
        from_version    text NOT NULL,
        to_version      text NOT NULL,
        state           text NOT NULL CHECK (state IN ('committed', 'effecting', 'verifying',
                                'recovered', 'not_recovered', 'unverified', 'superseded',
                                'failed')),
        detail          text CONSTRAINT operation_detail CHECK (length(detail) <= 1000),
        policy_hash     text CONSTRAINT operation_policy_hash CHECK (length(policy_hash) <= 128),
        evidence        jsonb CONSTRAINT operation_evidence
                        CHECK (octet_length(evidence::text) <= 65536),
        actor           text NOT NULL CONSTRAINT operation_actor CHECK (length(actor) <= 200),
        reason          text CONSTRAINT operation_reason CHECK (length(reason) <= 1000),
        xid             xid8 NOT NULL,
        opened_at       timestamptz NOT NULL,
        closed_at       timestamptz,
        -- What a person said afterwards: true = it was right, false = a false alarm.
        label           boolean,
        label_note      text CONSTRAINT operation_label_note CHECK (length(label_note) <= 1000),
        label_by        text,
        CONSTRAINT operation_closed CHECK ((closed_at IS NULL)
                = (state IN ('committed', 'effecting', 'verifying')))
) WITH (fillfactor = 70);
-- At most one automatic operation per incident; at most one open operation per service.
CREATE UNIQUE INDEX operation_incident ON rollbackd.operation (service, from_epoch) WHERE automatic;
CREATE UNIQUE INDEX operation_open ON rollbackd.operation (service) WHERE closed_at IS NULL;
CREATE UNIQUE INDEX operation_to_epoch ON rollbackd.operation (service, to_epoch);
CREATE INDEX operation_budget ON rollbackd.operation (service, opened_at) WHERE automatic;

CREATE TABLE rollbackd.step (
        operation       uuid NOT NULL REFERENCES rollbackd.operation,
        n               int NOT NULL CONSTRAINT step_number CHECK (n BETWEEN 0 AND 255),
        kind            text NOT NULL CONSTRAINT step_kind CHECK (kind ~ '^[a-z][a-z0-9_]{0,31}$'),
        host            text CONSTRAINT step_host CHECK (length(host) <= 253),
        spec            jsonb NOT NULL CONSTRAINT step_spec
                        CHECK (octet_length(spec::text) <= 65536),
        atomic          boolean NOT NULL DEFAULT false,
        state           text NOT NULL DEFAULT 'pending'
                        CHECK (state IN ('pending', 'done', 'failed', 'dropped')),
        attempt         int NOT NULL DEFAULT 0,
        not_before      timestamptz,
        progress        jsonb CONSTRAINT step_progress
                        CHECK (octet_length(progress::text) <= 65536),
        claimed_by      text CONSTRAINT step_claimed_by CHECK (length(claimed_by) <= 253),
        claimed_until   timestamptz,
        words           text CONSTRAINT step_words CHECK (length(words) <= 2000),
        finished_at     timestamptz,
        PRIMARY KEY (operation, n)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX step_pending ON rollbackd.step (operation, n) WHERE state = 'pending';

-- `seq` is the order in which numbers were given, not the order of commits: a reader that keeps a
-- cursor goes no further than pg_snapshot_xmin(pg_current_snapshot()), compared with `xid`.
CREATE TABLE rollbackd.event (
        seq             int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        id              uuid NOT NULL UNIQUE,
        at              timestamptz NOT NULL,
        xid             xid8 NOT NULL DEFAULT pg_current_xact_id(),
        service         text,
        kind            text NOT NULL CONSTRAINT event_kind
                        CHECK (kind ~ '^[a-z][a-z0-9_.]{0,62}$'),
        operation       uuid,
        actor           text NOT NULL CONSTRAINT event_actor CHECK (length(actor) <= 200),
        fields          jsonb NOT NULL CONSTRAINT event_fields
                        CHECK (octet_length(fields::text) <= 81920)
);
CREATE INDEX event_service ON rollbackd.event (service, seq DESC);
CREATE INDEX event_operation ON rollbackd.event (operation) WHERE operation IS NOT NULL;

CREATE TABLE rollbackd.subscriber (
        name            text PRIMARY KEY CONSTRAINT subscriber_name CHECK (length(name) <= 100),
        service         text NOT NULL REFERENCES rollbackd.service,
        spec            jsonb NOT NULL CONSTRAINT subscriber_spec
                        CHECK (octet_length(spec::text) <= 8192)
);
CREATE INDEX subscriber_service ON rollbackd.subscriber (service);

CREATE TABLE rollbackd.delivery (
        id              uuid PRIMARY KEY,
        event           uuid NOT NULL REFERENCES rollbackd.event (id),
        subscriber      text NOT NULL,
        seq             int8 NOT NULL,
        state           text NOT NULL DEFAULT 'pending'
                        CHECK (state IN ('pending', 'done', 'dead')),
        attempt         int NOT NULL DEFAULT 0,
        -- When it may be tried; while it is claimed, when the lease ends.
        next_at         timestamptz NOT NULL,
        error           text CONSTRAINT delivery_error CHECK (length(error) <= 2000),
        finished_at     timestamptz
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX delivery_pending ON rollbackd.delivery (subscriber, seq) WHERE state = 'pending';

CREATE TABLE rollbackd.generation (
        service         text NOT NULL REFERENCES rollbackd.service,
        name            text NOT NULL
                        CONSTRAINT generation_name
                        CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9._+-]{0,62}$'),
        value           int8 NOT NULL,
        bumped_at       timestamptz NOT NULL,
        PRIMARY KEY (service, name)
) WITH (fillfactor = 50);

CREATE TABLE rollbackd.observer (
        name            text PRIMARY KEY CONSTRAINT observer_name CHECK (length(name) <= 253),
        seen_at         timestamptz NOT NULL,
        program_version text CONSTRAINT observer_program_version
                        CHECK (length(program_version) <= 63),
        schema          int
) WITH (fillfactor = 50);

CREATE FUNCTION rollbackd.refuse_event_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
BEGIN
        RAISE EXCEPTION USING ERRCODE = 'RB007',
                MESSAGE = format('%s of rollbackd.event refused: events are append-only', TG_OP),
                HINT = 'Correct a record by a further event: SELECT rollbackd.ack(...).';
END
$$;
COMMENT ON FUNCTION rollbackd.refuse_event_change() IS
        'Trigger: keeps rollbackd.event append-only, for its owner too. Internal.';
CREATE TRIGGER event_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON rollbackd.event
        FOR EACH STATEMENT EXECUTE FUNCTION rollbackd.refuse_event_change();
