-- Break-glass: rollback and restore from psql, with the daemon dead or alive. They run the same
-- transaction as the daemon does; a daemon that finds the operation adopts it and runs the
-- policy's steps.

-- Turns the answer of commit_operation() into an error for a person.
CREATE FUNCTION rollbackd.raise_refusal(svc rollbackd.service, kind text, detail text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
BEGIN
        IF detail LIKE 'pin:%' THEN
                RAISE EXCEPTION USING ERRCODE = 'RB002',
                        MESSAGE = format('service %L is pinned to version %s', svc.name,
                                svc.active),
                        DETAIL = detail, HINT = format('SELECT rollbackd.unpin(%L);', svc.name);
        END IF;
        RAISE EXCEPTION USING ERRCODE = 'RB004',
                MESSAGE = format('no %s of service %L', kind, svc.name), DETAIL = detail,
                HINT = format('SELECT * FROM rollbackd.candidate WHERE service = %L; then name '
                        'one: SELECT rollbackd.rollback(%L, ''REASON'', ''VERSION''); unban() '
                        'lifts a ban or quarantine.', svc.name, svc.name);
END
$$;
COMMENT ON FUNCTION rollbackd.raise_refusal(rollbackd.service, text, text) IS
        'Raises RB002 or RB004 with the refusal''s words. Internal.';

CREATE FUNCTION rollbackd.rollback(service text, reason text, "to" text DEFAULT NULL) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
#variable_conflict use_column
DECLARE
        svc service%ROWTYPE;
        op uuid := gen_random_uuid();
        target text;
        answer record;
BEGIN
        PERFORM check_text('reason', rollback.reason, 1000, true);
        svc := lock_service(rollback.service);
        target := coalesce(rollback."to", find_target(svc.name, true));
        IF target IS NULL THEN
                PERFORM raise_refusal(svc, 'rollback', format('no stable version is admissible; '
                        'the newest admissible one is %s',
                        coalesce(find_target(svc.name, false), '(none)')));
        END IF;
        SELECT * INTO answer FROM commit_operation(op, svc.name, 'rollback', svc.active, svc.epoch,
                target, false, session_user, rollback.reason, NULL, NULL, NULL, NULL, NULL, NULL,
                NULL);
        IF answer.result <> 'committed' THEN
                PERFORM raise_refusal(svc, 'rollback', answer.detail);
        END IF;
        RAISE NOTICE '% % -> %, epoch %', svc.name, svc.active, target, answer.epoch;
        RETURN op;
END
$$;
COMMENT ON FUNCTION rollbackd.rollback(text, text, text) IS
        'Takes the active version back to "to", or to the last stable version, quarantines it, and '
        'returns the operation''s id. Closes an open operation as superseded. Works without the '
        'daemon, which runs the policy''s steps when it is back. For operators. '
        'Errors: RB001, RB002 (pinned), RB004 (no target; the detail says why), RB005.';

CREATE FUNCTION rollbackd.restore(service text, reason text) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
#variable_conflict use_column
DECLARE
        svc service%ROWTYPE;
        op uuid := gen_random_uuid();
        target text;
        answer record;
BEGIN
        PERFORM check_text('reason', restore.reason, 1000, true);
        svc := lock_service(restore.service);
        SELECT o.from_version INTO target FROM operation o
         WHERE o.service = svc.name AND o.to_epoch = svc.epoch AND o.kind = 'rollback';
        IF NOT FOUND THEN
                RAISE EXCEPTION USING ERRCODE = 'RB007',
                        MESSAGE = format('the active release of service %L was not made by a '
                                'rollback', svc.name),
                        DETAIL = format('Version %s is active at epoch %s.', svc.active, svc.epoch),
                        HINT = format('SELECT rollbackd.deploy(%L, ''VERSION'');', svc.name);
        END IF;
        SELECT * INTO answer FROM commit_operation(op, svc.name, 'restore', svc.active, svc.epoch,
                target, false, session_user, restore.reason, NULL, NULL, NULL, NULL, NULL, NULL,
                NULL);
        IF answer.result <> 'committed' THEN
                PERFORM raise_refusal(svc, 'restore', answer.detail);
        END IF;
        RAISE NOTICE '% % -> %, epoch %; automatic rollback is off until resume(%)', svc.name,
                svc.active, target, answer.epoch, quote_literal(svc.name);
        RETURN op;
END
$$;
COMMENT ON FUNCTION rollbackd.restore(text, text) IS
        'Goes forward again to the version that the active rollback left, lifts its quarantine, '
        'and turns automatic rollback off until resume() or a stable mark; returns the '
        'operation''s id. For operators. Errors: RB001, RB002, RB004 (banned, barrier, schema), '
        'RB005, RB007 (the active release was not made by a rollback).';
