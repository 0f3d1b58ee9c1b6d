-- What the other functions share. Nobody outside may call these.
--
-- Refusals of the verbs for people have an error class of their own:
--   RB001  not found (service, version, operation, event)
--   RB002  pinned
--   RB003  the epoch that the caller saw is stale: somebody else was faster
--   RB004  no rollback target
--   RB005  an argument is wrong
--   RB006  the version is quarantined or banned
--   RB007  nothing to do, or the wrong state for it
-- Each has a DETAIL with the present state where there is one, and a HINT that says what to type.

CREATE FUNCTION rollbackd.say_time(moment timestamptz) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
BEGIN
        RETURN CASE WHEN moment = 'infinity' THEN 'for ever' ELSE 'until '
                || to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC' END;
END
$$;
COMMENT ON FUNCTION rollbackd.say_time(timestamptz) IS
        'The words "until <time in UTC>" or "for ever". Internal.';

CREATE FUNCTION rollbackd.check_name(what text, value text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
BEGIN
        IF value IS NULL OR value !~ '^[A-Za-z0-9][A-Za-z0-9._+-]{0,62}$' THEN
                RAISE EXCEPTION USING ERRCODE = 'RB005',
                        MESSAGE = format('%s %s is not a name', what,
                                coalesce(quote_literal(left(value, 80)), 'NULL')),
                        HINT = 'Write 1 to 63 of the characters A-Z a-z 0-9 . _ + -, the first one '
                                'a letter or a digit.';
        END IF;
END
$$;
COMMENT ON FUNCTION rollbackd.check_name(text, text) IS
        'Refuses (RB005) what is not a name of a service or version. Internal.';

CREATE FUNCTION rollbackd.check_text(what text, value text, most int, required boolean)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
BEGIN
        IF required AND coalesce(btrim(value), '') = '' THEN
                RAISE EXCEPTION USING ERRCODE = 'RB005', MESSAGE = format('%s is missing', what),
                        HINT = format('Say why in one sentence: %s => ''...''.', what);
        END IF;
        IF length(value) > most THEN
                RAISE EXCEPTION USING ERRCODE = 'RB005',
                        MESSAGE = format('%s has %s characters, at most %s are kept', what,
                                length(value), most),
                        HINT = 'Shorten it, and name where the long form can be read.';
        END IF;
END
$$;
COMMENT ON FUNCTION rollbackd.check_text(text, text, int, boolean) IS
        'Refuses (RB005) a missing or overlong text. Internal.';

CREATE FUNCTION rollbackd.lock_service(service text) RETURNS rollbackd.service
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
#variable_conflict use_column
DECLARE
        svc service%ROWTYPE;
BEGIN
        SELECT * INTO svc FROM service WHERE name = lock_service.service FOR NO KEY UPDATE;
        IF NOT FOUND THEN
                PERFORM check_name('service', lock_service.service);
                RAISE EXCEPTION USING ERRCODE = 'RB001',
                        MESSAGE = format('service %L is not registered', lock_service.service),
                        HINT = format('SELECT rollbackd.register(%L, ''VERSION'');',
                                lock_service.service);
        END IF;
        RETURN svc;
END
$$;
COMMENT ON FUNCTION rollbackd.lock_service(text) IS
        'Locks a service''s row, the first lock of every writer; RB001 if there is none. Internal.';

-- One statement for the event and its deliveries. `deliver` is false for events that only the
-- ledger's own readers want.
CREATE FUNCTION rollbackd.write_event(service text, kind text, operation uuid, actor text,
        fields jsonb, deliver boolean, id uuid DEFAULT NULL) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
#variable_conflict use_column
DECLARE
        moment timestamptz := clock_timestamp();
        event_id uuid := coalesce(write_event.id, gen_random_uuid());
BEGIN
        WITH e AS (
                INSERT INTO event (id, at, service, kind, operation, actor, fields)
                VALUES (event_id, moment, write_event.service, write_event.kind,
                        write_event.operation, write_event.actor,
                        coalesce(write_event.fields, '{}'))
                ON CONFLICT ON CONSTRAINT event_id_key DO NOTHING
                RETURNING seq, id)
        INSERT INTO delivery (id, event, subscriber, seq, next_at)
        SELECT gen_random_uuid(), e.id, u.name, e.seq, moment
          FROM e JOIN subscriber u ON u.service = write_event.service
         WHERE deliver;
        RETURN event_id;
END
$$;
COMMENT ON FUNCTION rollbackd.write_event(text, text, uuid, text, jsonb, boolean, uuid) IS
        'Appends an event (once per id) and, if asked, its deliveries. Internal.';

CREATE FUNCTION rollbackd.supersede(svc rollbackd.service, by_what text, actor text) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
#variable_conflict use_column
DECLARE
        moment timestamptz := clock_timestamp();
        op operation%ROWTYPE;
BEGIN
        UPDATE operation SET state = 'superseded', closed_at = moment,
                detail = format('superseded by a %s of %s', by_what, supersede.actor)
         WHERE service = svc.name AND closed_at IS NULL
        RETURNING * INTO op;
        IF NOT FOUND THEN
                RETURN NULL;
        END IF;
        IF op.automatic THEN
                UPDATE service SET cooldown_from = moment WHERE name = svc.name;
        END IF;
        PERFORM write_event(svc.name, op.kind || '.superseded', op.id, supersede.actor,
                jsonb_build_object('by', by_what, 'from', op.from_version, 'to', op.to_version),
                true);
        RETURN op.id;
END
$$;
COMMENT ON FUNCTION rollbackd.supersede(rollbackd.service, text, text) IS
        'Closes a service''s open operation because a person acted; returns its id or null. '
        'The caller holds the service''s lock. Internal.';

-- Why a version cannot be the target of a rollback or restore; null when it can. A restore goes
-- forward to what a rollback quarantined, so only a ban stops it. The service's lock, which every
-- writer of its versions takes first, is enough. Like the two helpers of commit_operation() it runs
-- in its caller's search_path and rights: setting them anew costs more than the query.
CREATE FUNCTION rollbackd.refuse_target(svc rollbackd.service, target text, kind text)
RETURNS text
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
        moment timestamptz := clock_timestamp();
        ver rollbackd.version%ROWTYPE;
BEGIN
        SELECT * INTO ver FROM version
         WHERE service = svc.name AND version = refuse_target.target;
        IF ver.epoch IS NULL THEN
                RETURN format('no target: version %s was never released', coalesce(target, 'NULL'));
        ELSIF target = svc.active THEN
                RETURN format('no target: version %s is the active one', target);
        ELSIF ver.banned_until > moment THEN
                RETURN format('no target: version %s is banned %s (%s)', target,
                        say_time(ver.banned_until), ver.ban_reason);
        ELSIF ver.quarantined_until > moment AND kind <> 'restore' THEN
                RETURN format('no target: version %s is quarantined %s (%s)', target,
                        say_time(ver.quarantined_until), ver.reason);
        ELSIF ver.epoch < svc.barrier_epoch THEN
                RETURN format('barrier: version %s (epoch %s) lies behind the barrier of epoch %s',
                        target, ver.epoch, svc.barrier_epoch);
        ELSIF ver.schema_max < svc.schema_current THEN
                RETURN format('schema: version %s lives with schemas up to %s, the schema is at %s',
                        target, ver.schema_max, svc.schema_current);
        END IF;
        RETURN NULL;
END
$$;
COMMENT ON FUNCTION rollbackd.refuse_target(rollbackd.service, text, text) IS
        'The refusal ("no target: ...", "barrier: ...", "schema: ...") of a target, or null. '
        'Internal.';

CREATE FUNCTION rollbackd.find_target(service text, stable_only boolean) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
#variable_conflict use_column
BEGIN
        RETURN (SELECT c.version FROM candidate c
                 WHERE c.service = find_target.service AND c.refusal IS NULL
                   AND (c.stable OR NOT stable_only)
                 ORDER BY c.epoch DESC LIMIT 1);
END
$$;
COMMENT ON FUNCTION rollbackd.find_target(text, boolean) IS
        'The newest admissible version other than the active one, or null. Internal.';

-- Every version other than the active one that was ever released, with what speaks against it.
CREATE VIEW rollbackd.candidate AS
SELECT s.name AS service, v.version, v.epoch, v.stable_at IS NOT NULL AS stable,
       coalesce(greatest(v.quarantined_until, v.banned_until) > clock_timestamp(), false)
               AS quarantined,
       v.epoch < s.barrier_epoch AS behind_barrier,
       coalesce(v.schema_max >= s.schema_current, true) AS schema_fits,
       CASE WHEN v.banned_until > clock_timestamp() THEN 'banned'
            WHEN v.quarantined_until > clock_timestamp() THEN 'quarantined'
            WHEN v.epoch < s.barrier_epoch THEN 'barrier'
            WHEN v.schema_max < s.schema_current THEN 'schema' END AS refusal
  FROM rollbackd.service s
  JOIN rollbackd.version v ON v.service = s.name AND v.version <> s.active
                          AND v.epoch IS NOT NULL;
COMMENT ON VIEW rollbackd.candidate IS
        'What a rollback could go to: versions ever released, except the active one, with the '
        'reason why one cannot be a target (refusal; null: it can).';
