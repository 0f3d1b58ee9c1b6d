-- What people say about versions and services: ban, pin, pause, and a label afterwards.

CREATE FUNCTION rollbackd.ban(service text, version text, reason text,
        until timestamptz DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
#variable_conflict use_column
DECLARE
        svc service%ROWTYPE;
        till timestamptz := coalesce(ban.until, 'infinity');
BEGIN
        PERFORM check_name('version', ban.version);
        PERFORM check_text('reason', ban.reason, 1000, true);
        IF till <= clock_timestamp() THEN
                RAISE EXCEPTION USING ERRCODE = 'RB005',
                        MESSAGE = format('until => %L is in the past', till),
                        HINT = 'Name a time in the future, or leave it out to ban for ever.';
        END IF;
        svc := lock_service(ban.service);
        INSERT INTO version AS v (service, version, banned_until, ban_reason)
        VALUES (svc.name, ban.version, till, ban.reason)
        ON CONFLICT ON CONSTRAINT version_pkey
        DO UPDATE SET banned_until = excluded.banned_until, ban_reason = excluded.ban_reason;
        PERFORM write_event(svc.name, 'version.banned', NULL, session_user, jsonb_build_object(
                'version', ban.version, 'reason', ban.reason, 'until', till), false);
        PERFORM pg_notify('rollbackd', svc.name || ' ' || svc.epoch);
        IF svc.active = ban.version THEN
                RAISE WARNING USING MESSAGE = format('version %s is banned, but still active',
                        ban.version),
                        HINT = format('SELECT rollbackd.rollback(%L, ''REASON'');', svc.name);
        END IF;
END
$$;
COMMENT ON FUNCTION rollbackd.ban(text, text, text, timestamptz) IS
        'Forbids a version, released or not: no rollback goes to it, deploy refuses it without '
        'force. For operators. Errors: RB001, RB005.';

CREATE FUNCTION rollbackd.unban(service text, version text, reason text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
#variable_conflict use_column
DECLARE
        svc service%ROWTYPE;
BEGIN
        PERFORM check_name('version', unban.version);
        PERFORM check_text('reason', unban.reason, 1000, false);
        svc := lock_service(unban.service);
        UPDATE version SET banned_until = NULL, ban_reason = NULL, quarantined_until = NULL,
                reason = NULL, quarantined_by = NULL
         WHERE service = svc.name AND version = unban.version
           AND greatest(banned_until, quarantined_until) > clock_timestamp();
        IF NOT FOUND THEN
                RAISE EXCEPTION USING ERRCODE = 'RB007',
                        MESSAGE = format('version %s of service %L is not banned or quarantined',
                                unban.version, svc.name),
                        HINT = format('SELECT * FROM rollbackd.candidate WHERE service = %L;',
                                svc.name);
        END IF;
        PERFORM write_event(svc.name, 'version.unbanned', NULL, session_user, jsonb_build_object(
                'version', unban.version, 'reason', unban.reason), false);
        PERFORM pg_notify('rollbackd', svc.name || ' ' || svc.epoch);
END
$$;
COMMENT ON FUNCTION rollbackd.unban(text, text, text) IS
        'Lifts a ban and a quarantine. For operators. Errors: RB001, RB005, RB007 (neither '
        'is in force).';

-- The end of a pin or pause from "for this long" or "until then"; both always expire.
CREATE FUNCTION rollbackd.find_end(duration interval, until timestamptz) RETURNS timestamptz
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
DECLARE
        moment timestamptz := clock_timestamp();
        till timestamptz := until;
BEGIN
        IF till IS NULL THEN
                -- Bounded before it is added: the sum has an end too.
                till := moment + least(duration, interval '100 years');
        END IF;
        IF (duration IS NULL) = (until IS NULL) THEN
                RAISE EXCEPTION USING ERRCODE = 'RB005',
                        MESSAGE = 'give either duration or until',
                        HINT = 'Such as duration => ''2 hours'', or until => ''2030-01-31 18:00''.';
        ELSIF till <= moment OR till > moment + interval '90 days' THEN
                RAISE EXCEPTION USING ERRCODE = 'RB005',
                        MESSAGE = format('the end %s is not within the next 90 days', till),
                        HINT = 'A pin or pause always expires: write a shorter time and renew it.';
        END IF;
        RETURN till;
END
$$;
COMMENT ON FUNCTION rollbackd.find_end(interval, timestamptz) IS
        'When a pin or pause ends; RB005 unless within 90 days. Internal.';

CREATE FUNCTION rollbackd.pin(service text, duration interval DEFAULT NULL,
        reason text DEFAULT NULL, until timestamptz DEFAULT NULL) RETURNS timestamptz
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
#variable_conflict use_column
DECLARE
        svc service%ROWTYPE;
        till timestamptz;
BEGIN
        PERFORM check_text('reason', pin.reason, 1000, true);
        till := find_end(pin.duration, pin.until);
        svc := lock_service(pin.service);
        UPDATE service SET pinned_until = till, pin_reason = pin.reason WHERE name = svc.name;
        PERFORM write_event(svc.name, 'service.pinned', NULL, session_user, jsonb_build_object(
                'version', svc.active, 'until', till, 'reason', pin.reason), false);
        PERFORM pg_notify('rollbackd', svc.name || ' ' || svc.epoch);
        RETURN till;
END
$$;
COMMENT ON FUNCTION rollbackd.pin(text, interval, text, timestamptz) IS
        'Holds the active version: no automatic act, and deploy, rollback and restore are refused, '
        'for a duration or until a time, 90 days at most; returns the end. For operators. '
        'Errors: RB001, RB005.';

CREATE FUNCTION rollbackd.unpin(service text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
#variable_conflict use_column
DECLARE
        svc service%ROWTYPE;
BEGIN
        svc := lock_service(unpin.service);
        IF coalesce(svc.pinned_until <= clock_timestamp(), true) THEN
                RAISE EXCEPTION USING ERRCODE = 'RB007',
                        MESSAGE = format('service %L is not pinned', svc.name),
                        HINT = 'Nothing is left to do.';
        END IF;
        UPDATE service SET pinned_until = NULL, pin_reason = NULL WHERE name = svc.name;
        PERFORM write_event(svc.name, 'service.unpinned', NULL, session_user,
                jsonb_build_object('version', svc.active), false);
        PERFORM pg_notify('rollbackd', svc.name || ' ' || svc.epoch);
END
$$;
COMMENT ON FUNCTION rollbackd.unpin(text) IS
        'Ends a pin. For operators. Errors: RB001, RB007 (not pinned).';

CREATE FUNCTION rollbackd.pause(service text, duration interval DEFAULT NULL,
        reason text DEFAULT NULL, until timestamptz DEFAULT NULL) RETURNS timestamptz
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
#variable_conflict use_column
DECLARE
        svc service%ROWTYPE;
        till timestamptz;
BEGIN
        PERFORM check_text('reason', pause.reason, 1000, true);
        till := find_end(pause.duration, pause.until);
        svc := lock_service(pause.service);
        UPDATE service SET paused_until = till, pause_reason = pause.reason WHERE name = svc.name;
        PERFORM write_event(svc.name, 'service.paused', NULL, session_user, jsonb_build_object(
                'until', till, 'reason', pause.reason), false);
        PERFORM pg_notify('rollbackd', svc.name || ' ' || svc.epoch);
        RETURN till;
END
$$;
COMMENT ON FUNCTION rollbackd.pause(text, interval, text, timestamptz) IS
        'No automatic act for a duration or until a time, 90 days at most; people may still deploy '
        'and roll back; returns the end. For operators. Errors: RB001, RB005.';

CREATE FUNCTION rollbackd.resume(service text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
#variable_conflict use_column
DECLARE
        svc service%ROWTYPE;
BEGIN
        svc := lock_service(resume.service);
        UPDATE service SET paused_until = NULL, pause_reason = NULL, automatic = true,
                resumes = resumes + 1 WHERE name = svc.name;
        PERFORM write_event(svc.name, 'service.resumed', NULL, session_user, jsonb_build_object(
                'was_paused', coalesce(svc.paused_until > clock_timestamp(), false),
                'was_automatic', svc.automatic), false);
        PERFORM pg_notify('rollbackd', svc.name || ' ' || svc.epoch);
END
$$;
COMMENT ON FUNCTION rollbackd.resume(text) IS
        'Ends a pause, turns automatic rollback on again after a restore or a forced deploy, and '
        'lets the daemon try again what had failed. Twice is not an error: only the daemon knows '
        'what failed. For operators. Errors: RB001.';

CREATE FUNCTION rollbackd.ack(id text, label boolean, note text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
#variable_conflict use_column
DECLARE
        key uuid;
        op operation%ROWTYPE;
        ev event%ROWTYPE;
BEGIN
        PERFORM check_text('note', ack.note, 1000, false);
        IF ack.label IS NULL OR coalesce(ack.id !~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$',
                        true) THEN
                RAISE EXCEPTION USING ERRCODE = 'RB005',
                        MESSAGE = 'ack needs the id of an operation or event, and true or false',
                        HINT = 'SELECT rollbackd.ack(''ID'', false, ''NOTE''); false means that it '
                                'was a false alarm.';
        END IF;
        key := ack.id::uuid;
        UPDATE operation SET label = ack.label, label_note = ack.note, label_by = session_user
         WHERE id = key RETURNING * INTO op;
        IF NOT FOUND THEN
                SELECT * INTO ev FROM event WHERE id = key;
                IF NOT FOUND THEN
                        RAISE EXCEPTION USING ERRCODE = 'RB001',
                                MESSAGE = format('no operation or event has the id %s', key),
                                HINT = 'SELECT id, kind FROM rollbackd.recent_event ORDER BY seq '
                                        'DESC LIMIT 20;';
                END IF;
        END IF;
        PERFORM write_event(coalesce(op.service, ev.service), 'operation.acknowledged',
                coalesce(op.id, ev.operation), session_user, jsonb_build_object('id', key,
                'label', ack.label, 'note', ack.note), false);
END
$$;
COMMENT ON FUNCTION rollbackd.ack(text, boolean, text) IS
        'Keeps a person''s label on an operation or an event: true, it was right; false, a false '
        'alarm. For operators. Errors: RB001, RB005.';
