-- Releases: which version a service runs, and who said so.

CREATE FUNCTION rollbackd.register(service text, version text, stable boolean DEFAULT false,
        reason text DEFAULT NULL) RETURNS int8
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
#variable_conflict use_column
DECLARE
        moment timestamptz := clock_timestamp();
        old service%ROWTYPE;
BEGIN
        PERFORM check_name('service', register.service);
        PERFORM check_name('version', register.version);
        PERFORM check_text('reason', register.reason, 1000, coalesce(register.stable, false));
        INSERT INTO service (name, active, epoch, released_at)
        VALUES (register.service, register.version, 1, moment)
        ON CONFLICT ON CONSTRAINT service_pkey DO NOTHING;
        IF NOT FOUND THEN
                SELECT * INTO old FROM service WHERE name = register.service;
                RAISE EXCEPTION USING ERRCODE = 'RB007',
                        MESSAGE = format('service %L is already registered', register.service),
                        DETAIL = format('Version %s is active at epoch %s.', old.active, old.epoch),
                        HINT = format('SELECT rollbackd.deploy(%L, %L);', register.service,
                                register.version);
        END IF;
        INSERT INTO version (service, version, epoch, stable_at)
        VALUES (register.service, register.version, 1, CASE WHEN register.stable THEN moment END);
        INSERT INTO release (service, epoch, version, kind, actor, note, at, stable_at)
        VALUES (register.service, 1, register.version, 'register', session_user, register.reason,
                moment, CASE WHEN register.stable THEN moment END);
        PERFORM write_event(register.service, 'release.registered', NULL, session_user,
                jsonb_build_object('version', register.version, 'epoch', 1,
                        'stable', coalesce(register.stable, false), 'reason', register.reason),
                false);
        PERFORM pg_notify('rollbackd', register.service || ' 1');
        RETURN 1;
END
$$;
COMMENT ON FUNCTION rollbackd.register(text, text, boolean, text) IS
        'Makes a service known with the version that it runs now; returns epoch 1. stable => true '
        'needs a reason. For deployers and operators. Errors: RB005, RB007 (already registered).';

-- Refusals of deploy(), before anything is written. The service is locked.
CREATE FUNCTION rollbackd.check_deploy(svc rollbackd.service, version text, expect_epoch int8,
        force boolean) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
#variable_conflict use_column
DECLARE
        moment timestamptz := clock_timestamp();
        ver version%ROWTYPE;
BEGIN
        IF svc.pinned_until > moment THEN
                RAISE EXCEPTION USING ERRCODE = 'RB002',
                        MESSAGE = format('service %L is pinned to version %s', svc.name,
                                svc.active),
                        DETAIL = format('Pinned %s: %s', say_time(svc.pinned_until),
                                svc.pin_reason),
                        HINT = format('SELECT rollbackd.unpin(%L);', svc.name);
        ELSIF expect_epoch <> svc.epoch THEN
                RAISE EXCEPTION USING ERRCODE = 'RB003',
                        MESSAGE = format('service %L is at epoch %s, not at epoch %s', svc.name,
                                svc.epoch, expect_epoch),
                        DETAIL = format('Version %s is active: somebody else was faster.',
                                svc.active),
                        HINT = format('Look at rollbackd.history, then deploy again with '
                                'expect_epoch => %s if you still want to.', svc.epoch);
        END IF;
        SELECT * INTO ver FROM version
         WHERE service = svc.name AND version = check_deploy.version FOR NO KEY UPDATE;
        IF greatest(ver.banned_until, ver.quarantined_until) > moment AND NOT force THEN
                RAISE EXCEPTION USING ERRCODE = 'RB006',
                        MESSAGE = format('version %s of service %L is %s', check_deploy.version,
                                svc.name, CASE WHEN ver.banned_until > moment THEN 'banned'
                                ELSE 'quarantined' END),
                        DETAIL = CASE WHEN ver.banned_until > moment
                                THEN format('Banned %s: %s', say_time(ver.banned_until),
                                        ver.ban_reason)
                                ELSE format('Quarantined %s: %s', say_time(ver.quarantined_until),
                                        ver.reason) END,
                        HINT = format('SELECT rollbackd.unban(%L, %L); or deploy it with '
                                'force => true, which turns automatic rollback off for it.',
                                svc.name, check_deploy.version);
        END IF;
END
$$;
COMMENT ON FUNCTION rollbackd.check_deploy(rollbackd.service, text, int8, boolean) IS
        'Raises what stands against a deploy: RB002, RB003, RB006. Internal.';

CREATE FUNCTION rollbackd.deploy(service text, version text, expect_epoch int8 DEFAULT NULL,
        code_ref text DEFAULT NULL, api_version text DEFAULT NULL, schema_min int8 DEFAULT NULL,
        schema_max int8 DEFAULT NULL, barrier boolean DEFAULT false, artefact text DEFAULT NULL,
        actor text DEFAULT NULL, source text DEFAULT NULL, note text DEFAULT NULL,
        rolling boolean DEFAULT false, force boolean DEFAULT false,
        rolling_for interval DEFAULT '1 hour') RETURNS int8
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
#variable_conflict use_column
DECLARE
        svc service%ROWTYPE;
        moment timestamptz;
        who text := coalesce(deploy.actor, session_user);
        next_epoch int8;
        stable_target text;
        any_target text;
BEGIN
        PERFORM check_name('version', deploy.version);
        PERFORM check_deploy_arguments(deploy.code_ref, deploy.api_version, deploy.schema_min,
                deploy.schema_max, deploy.artefact, who, deploy.source, deploy.note,
                deploy.rolling_for);
        svc := lock_service(deploy.service);
        PERFORM check_deploy(svc, deploy.version, deploy.expect_epoch,
                coalesce(deploy.force, false));
        moment := clock_timestamp();
        next_epoch := svc.epoch + 1;
        PERFORM supersede(svc, 'deploy', who);
        UPDATE service SET active = deploy.version, epoch = next_epoch, released_at = moment,
                automatic = NOT coalesce(deploy.force, false), cooldown_from = NULL,
                deploying_until = CASE WHEN deploy.rolling THEN moment + deploy.rolling_for END,
                barrier_epoch = CASE WHEN deploy.barrier THEN next_epoch ELSE barrier_epoch END,
                schema_current = greatest(schema_current, deploy.schema_min)
         WHERE name = svc.name;
        -- force lifts a quarantine (somebody said otherwise); a ban outlives it.
        INSERT INTO version AS v (service, version, epoch, schema_max)
        VALUES (svc.name, deploy.version, next_epoch, deploy.schema_max)
        ON CONFLICT ON CONSTRAINT version_pkey DO UPDATE SET epoch = excluded.epoch,
                schema_max = excluded.schema_max, quarantined_until = NULL, reason = NULL,
                quarantined_by = NULL;
        INSERT INTO release (service, epoch, version, kind, code_ref, api_version, schema_min,
                schema_max, barrier, artefact, actor, source, note, at)
        VALUES (svc.name, next_epoch, deploy.version, 'deploy', deploy.code_ref, deploy.api_version,
                deploy.schema_min, deploy.schema_max, coalesce(deploy.barrier, false),
                deploy.artefact, who, deploy.source, deploy.note, moment);
        stable_target := find_target(svc.name, true);
        any_target := find_target(svc.name, false);
        PERFORM write_event(svc.name, 'release.deployed', NULL, who, jsonb_build_object(
                'from', svc.active, 'to', deploy.version, 'epoch', next_epoch,
                'rolling', coalesce(deploy.rolling, false), 'force', coalesce(deploy.force, false),
                'barrier', coalesce(deploy.barrier, false), 'login', session_user,
                'source', deploy.source, 'note', deploy.note,
                'last_stable', stable_target, 'previous', any_target), true);
        PERFORM pg_notify('rollbackd', svc.name || ' ' || next_epoch);
        PERFORM tell_target(svc.name, deploy.version, stable_target, any_target);
        RETURN next_epoch;
END
$$;
COMMENT ON FUNCTION rollbackd.deploy(text, text, int8, text, text, int8, int8, boolean, text, text,
        text, text, boolean, boolean, interval) IS
        'Makes a version the active one and returns the new epoch; a notice says where a rollback '
        'would go. expect_epoch refuses if somebody was faster; rolling holds automatic acts until '
        'deploy_done(), at most rolling_for; barrier says that no rollback may cross this release; '
        'force deploys a quarantined or banned version and turns automatic rollback off for it. '
        'Closes an open operation as superseded and ends the cooldown. For deployers and '
        'operators. Errors: RB001, RB002 (pinned), RB003, RB005, RB006.';

CREATE FUNCTION rollbackd.check_deploy_arguments(code_ref text, api_version text, schema_min int8,
        schema_max int8, artefact text, actor text, source text, note text, rolling_for interval)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
BEGIN
        PERFORM check_text('code_ref', code_ref, 200, false);
        PERFORM check_text('api_version', api_version, 63, false);
        PERFORM check_text('artefact', artefact, 1000, false);
        PERFORM check_text('actor', actor, 200, true);
        PERFORM check_text('source', source, 200, false);
        PERFORM check_text('note', note, 1000, false);
        IF schema_min > schema_max THEN
                RAISE EXCEPTION USING ERRCODE = 'RB005',
                        MESSAGE = format('schema_min %s is greater than schema_max %s', schema_min,
                                schema_max),
                        HINT = 'Name the lowest and the highest schema that this version can '
                                'live with.';
        ELSIF rolling_for IS NULL OR rolling_for <= '0' OR rolling_for > '24 hours' THEN
                RAISE EXCEPTION USING ERRCODE = 'RB005',
                        MESSAGE = format('rolling_for is %s', coalesce(rolling_for::text, 'NULL')),
                        HINT = 'Write a time above 0 and up to 24 hours, such as ''1 hour''.';
        END IF;
END
$$;
COMMENT ON FUNCTION rollbackd.check_deploy_arguments(text, text, int8, int8, text, text, text, text,
        interval) IS 'Raises RB005 for a wrong argument of deploy(). Internal.';

CREATE FUNCTION rollbackd.tell_target(service text, version text, stable_target text,
        any_target text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
BEGIN
        IF stable_target IS NOT NULL THEN
                RAISE NOTICE 'a rollback of % % would go to % (last stable)', service, version,
                        stable_target;
        ELSIF any_target IS NOT NULL THEN
                RAISE WARNING USING MESSAGE = format('a rollback of %s %s has no stable target; '
                        'the strategy "previous" would go to %s', service, version, any_target),
                        HINT = format('SELECT rollbackd.mark_stable(%L, %L, ''REASON'');', service,
                                any_target);
        ELSE
                RAISE WARNING USING MESSAGE = format('a rollback of %s %s has no target', service,
                        version),
                        HINT = format('SELECT * FROM rollbackd.candidate WHERE service = %L; says '
                                'why.', service);
        END IF;
END
$$;
COMMENT ON FUNCTION rollbackd.tell_target(text, text, text, text) IS
        'Says at deploy time where a rollback would go. Internal.';
