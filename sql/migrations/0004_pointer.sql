-- The pointer: reading it, ending a rolling deploy, and the stable mark.

CREATE FUNCTION rollbackd.deploy_done(service text, epoch int8) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
#variable_conflict use_column
DECLARE
        svc service%ROWTYPE;
BEGIN
        svc := lock_service(deploy_done.service);
        IF deploy_done.epoch IS DISTINCT FROM svc.epoch THEN
                RAISE EXCEPTION USING ERRCODE = 'RB003',
                        MESSAGE = format('service %L is at epoch %s, not at epoch %s', svc.name,
                                svc.epoch, coalesce(deploy_done.epoch::text, 'NULL')),
                        DETAIL = format('Version %s is active.', svc.active),
                        HINT = 'Nothing is left to do: this deploy is no longer the active one.';
        ELSIF svc.deploying_until IS NULL THEN
                RAISE EXCEPTION USING ERRCODE = 'RB007',
                        MESSAGE = format('service %L has no rolling deploy in progress', svc.name),
                        HINT = 'Only deploy(..., rolling => true) is ended by deploy_done().';
        END IF;
        UPDATE service SET deploying_until = NULL WHERE name = svc.name;
        PERFORM write_event(svc.name, 'release.deploy_done', NULL, session_user,
                jsonb_build_object('version', svc.active, 'epoch', svc.epoch), false);
        PERFORM pg_notify('rollbackd', svc.name || ' ' || svc.epoch);
END
$$;
COMMENT ON FUNCTION rollbackd.deploy_done(text, int8) IS
        'Ends a rolling deploy: automatic acts are no longer held. For deployers and operators. '
        'Errors: RB001, RB003 (another release is active), RB007 (no rolling deploy).';

CREATE FUNCTION rollbackd.active(service text) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
#variable_conflict use_column
DECLARE
        answer text;
BEGIN
        SELECT s.active INTO answer FROM service s WHERE s.name = active.service;
        IF answer IS NULL THEN
                RAISE EXCEPTION USING ERRCODE = 'RB001',
                        MESSAGE = format('service %s is not registered',
                                coalesce(quote_literal(left(active.service, 80)), 'NULL')),
                        HINT = 'SELECT service FROM rollbackd.service_status; lists them.';
        END IF;
        RETURN answer;
END
$$;
COMMENT ON FUNCTION rollbackd.active(text) IS
        'The active version of a service. For every role of the ledger. Errors: RB001.';

CREATE FUNCTION rollbackd.version_for(service text, requested text) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
#variable_conflict use_column
DECLARE
        fallback text := active(version_for.service);
        answer text;
BEGIN
        SELECT v.version INTO answer
          FROM (SELECT version, epoch FROM version
                 WHERE service = version_for.service AND version = requested AND epoch IS NOT NULL
                UNION ALL
                (SELECT version, epoch FROM release
                  WHERE service = version_for.service AND api_version = requested
                  ORDER BY epoch DESC LIMIT 1)
                ORDER BY epoch DESC LIMIT 1) newest
          JOIN version v ON v.service = version_for.service AND v.version = newest.version
         WHERE coalesce(greatest(v.quarantined_until, v.banned_until) <= clock_timestamp(), true);
        RETURN coalesce(answer, fallback);
END
$$;
COMMENT ON FUNCTION rollbackd.version_for(text, text) IS
        'The version that serves a client which asked for a version or api_version: the newest '
        'release of it, unless that is quarantined or banned or unknown, then the active version. '
        'For every role of the ledger. Errors: RB001 (service).';

CREATE FUNCTION rollbackd.mark_stable(service text, version text, reason text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
#variable_conflict use_column
DECLARE
        svc service%ROWTYPE;
        ver version%ROWTYPE;
        moment timestamptz := clock_timestamp();
BEGIN
        PERFORM check_name('version', mark_stable.version);
        PERFORM check_text('reason', mark_stable.reason, 1000, true);
        svc := lock_service(mark_stable.service);
        SELECT * INTO ver FROM version
         WHERE service = svc.name AND version = mark_stable.version FOR NO KEY UPDATE;
        IF ver.epoch IS NULL THEN
                RAISE EXCEPTION USING ERRCODE = 'RB001',
                        MESSAGE = format('version %s of service %L was never released',
                                mark_stable.version, svc.name),
                        HINT = format('SELECT version FROM rollbackd.history WHERE service = %L;',
                                svc.name);
        ELSIF greatest(ver.quarantined_until, ver.banned_until) > moment THEN
                RAISE EXCEPTION USING ERRCODE = 'RB006',
                        MESSAGE = format('version %s of service %L is quarantined or banned',
                                ver.version, svc.name),
                        DETAIL = coalesce(ver.ban_reason, ver.reason),
                        HINT = format('SELECT rollbackd.unban(%L, %L); first.', svc.name,
                                ver.version);
        END IF;
        PERFORM set_stable(svc, ver, session_user, mark_stable.reason);
END
$$;
COMMENT ON FUNCTION rollbackd.mark_stable(text, text, text) IS
        'A person vouches for a version: it becomes a rollback target; if it is the active one, '
        'automatic rollback is on again. For operators. Errors: RB001, RB005, RB006.';

CREATE FUNCTION rollbackd.set_stable(svc rollbackd.service, ver rollbackd.version, actor text,
        reason text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
#variable_conflict use_column
DECLARE
        moment timestamptz := clock_timestamp();
BEGIN
        IF ver.version = svc.active THEN
                UPDATE service SET automatic = true WHERE name = svc.name;
        END IF;
        UPDATE version SET stable_at = moment WHERE service = svc.name AND version = ver.version;
        UPDATE release SET stable_at = moment WHERE service = svc.name AND epoch = ver.epoch;
        PERFORM write_event(svc.name, 'release.stable', NULL, actor, jsonb_build_object(
                'version', ver.version, 'epoch', ver.epoch, 'reason', reason), false);
        PERFORM pg_notify('rollbackd', svc.name || ' ' || svc.epoch);
END
$$;
COMMENT ON FUNCTION rollbackd.set_stable(rollbackd.service, rollbackd.version, text, text) IS
        'Writes the stable mark on a version and its newest release. Internal.';

CREATE FUNCTION rollbackd.earn_stable(service text, epoch int8) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
#variable_conflict use_column
DECLARE
        svc service%ROWTYPE;
        ver version%ROWTYPE;
BEGIN
        svc := lock_service(earn_stable.service);
        IF svc.epoch IS DISTINCT FROM earn_stable.epoch THEN
                RETURN false;
        END IF;
        SELECT * INTO ver FROM version
         WHERE service = svc.name AND version = svc.active FOR NO KEY UPDATE;
        IF ver.banned_until > clock_timestamp() OR EXISTS (SELECT FROM release r
                        WHERE r.service = svc.name AND r.epoch = svc.epoch
                          AND r.stable_at IS NOT NULL) THEN
                RETURN false;
        END IF;
        PERFORM set_stable(svc, ver, session_user, 'healthy through its bake');
        RETURN true;
END
$$;
COMMENT ON FUNCTION rollbackd.earn_stable(text, int8) IS
        'Marks the release of this epoch stable, if it is still the active one, not yet stable and '
        'not banned; says whether it did. For the daemon. Errors: RB001.';

CREATE FUNCTION rollbackd.generation_of(service text, name text) RETURNS int8
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
#variable_conflict use_column
BEGIN
        RETURN coalesce((SELECT g.value FROM generation g
                WHERE g.service = generation_of.service AND g.name = generation_of.name), 0);
END
$$;
COMMENT ON FUNCTION rollbackd.generation_of(text, text) IS
        'The generation that applications put into their cache keys or sessions; 0 until the first '
        'rollback bumps it. For every role of the ledger.';
