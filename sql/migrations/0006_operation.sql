-- The short transaction: one call moves the pointer and writes down everything that must follow.

-- Why an automatic operation may not act now, the guard's name first; null when it may. A service
-- that does not exist runs through the same statements, so that a first call can warm the plans.
-- It and write_operation() run in the search_path and rights of commit_operation().
CREATE FUNCTION rollbackd.refuse_automatic(svc rollbackd.service, cooldown interval,
        budget_count int, budget_per interval) RETURNS text
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
        moment timestamptz := clock_timestamp();
        kind text;
        open_id uuid;
        used int8;
BEGIN
        SELECT r.kind, (SELECT o.id FROM operation o
                         WHERE o.service = svc.name AND o.closed_at IS NULL),
               (SELECT count(*) FROM operation o WHERE o.service = svc.name AND o.automatic
                   AND o.opened_at > moment - budget_per)
          INTO kind, open_id, used
          FROM release r WHERE r.service = svc.name AND r.epoch = svc.epoch;
        RETURN CASE
        WHEN svc.paused_until > moment THEN
                format('pause: paused %s (%s)', say_time(svc.paused_until), svc.pause_reason)
        WHEN svc.pinned_until > moment THEN
                format('pin: pinned %s (%s)', say_time(svc.pinned_until), svc.pin_reason)
        WHEN NOT svc.automatic THEN
                'pause: automatic operations are off since a restore or a forced deploy, until '
                'resume() or a stable mark'
        WHEN svc.deploying_until > moment THEN
                format('deploying: %s or deploy_done()', say_time(svc.deploying_until))
        WHEN svc.cooldown_from + cooldown > moment THEN
                format('cooldown: %s', say_time(svc.cooldown_from + cooldown))
        WHEN used >= budget_count THEN
                format('budget: %s of %s automatic operations used in the last %s', used,
                        budget_count, budget_per)
        WHEN open_id IS NOT NULL THEN
                format('operation: %s is not closed yet', open_id)
        WHEN kind <> 'deploy' THEN
                format('depth: epoch %s is a %s; only a deploy is taken back automatically',
                        svc.epoch, kind)
        END;
END
$$;
COMMENT ON FUNCTION rollbackd.refuse_automatic(rollbackd.service, interval, int, interval) IS
        'The guard that holds an automatic operation ("cooldown: ..."), or null. Internal.';

CREATE FUNCTION rollbackd.commit_operation(id uuid, service text, kind text, expect_version text,
        expect_epoch int8, target text, automatic boolean, actor text, reason text,
        policy_hash text, evidence jsonb, cooldown interval, budget_count int, budget_per interval,
        generations text[], steps jsonb, OUT result text, OUT detail text, OUT epoch int8)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
        svc service%ROWTYPE;
        op operation%ROWTYPE;
        known boolean;
BEGIN
        IF id IS NULL OR automatic IS NULL OR coalesce(kind NOT IN ('rollback', 'restore'), true)
           OR (automatic AND kind <> 'rollback') THEN
                RAISE EXCEPTION USING ERRCODE = 'RB005',
                        MESSAGE = 'commit_operation needs an id, automatic, and the kind rollback '
                                '(or, by hand, restore)',
                        HINT = 'This is a defect of the caller: report it.';
        END IF;
        -- The lock waits for whoever is about to move the pointer, an earlier self included; what
        -- is read below is read by later statements, and so sees what was waited for.
        SELECT * INTO svc FROM service s WHERE s.name = commit_operation.service
           FOR NO KEY UPDATE;
        known := FOUND;
        SELECT * INTO op FROM operation o WHERE o.id = commit_operation.id;
        IF FOUND AND op.service IS DISTINCT FROM svc.name THEN
                RAISE EXCEPTION USING ERRCODE = 'RB005',
                        MESSAGE = format('operation %s belongs to service %L', op.id, op.service),
                        HINT = 'This is a defect of the caller: report it.';
        ELSIF op.id IS NOT NULL THEN
                result := 'replay';
                detail := op.state;
                epoch := op.to_epoch;
                RETURN;
        END IF;
        epoch := svc.epoch;
        IF known AND (expect_version, expect_epoch) IS DISTINCT FROM (svc.active, svc.epoch) THEN
                result := 'lost';
                detail := format('version %s is active at epoch %s', svc.active, svc.epoch);
                RETURN;
        END IF;
        IF automatic THEN
                detail := refuse_automatic(svc, cooldown, budget_count, budget_per);
        ELSIF svc.pinned_until > clock_timestamp() THEN
                detail := format('pin: pinned %s (%s)', say_time(svc.pinned_until), svc.pin_reason);
        END IF;
        detail := coalesce(detail, refuse_target(svc, target, kind));
        IF known AND detail IS NOT NULL THEN
                result := 'refused';
                RETURN;
        END IF;
        IF NOT automatic THEN
                PERFORM supersede(svc, kind, actor);
        END IF;
        PERFORM write_operation(svc, id, kind, target, automatic, actor, reason, policy_hash,
                evidence, generations, steps);
        IF NOT known THEN
                result := 'refused';
                detail := format('unknown service %s', coalesce(commit_operation.service, 'NULL'));
                RETURN;
        END IF;
        epoch := svc.epoch + 1;
        PERFORM pg_notify('rollbackd', svc.name || ' ' || epoch);
        result := 'committed';
        detail := format('%s %s -> %s', kind, svc.active, target);
END
$$;
COMMENT ON FUNCTION rollbackd.commit_operation(uuid, text, text, text, int8, text, boolean, text,
        text, text, jsonb, interval, int, interval, text[], jsonb) IS
        'Moves the pointer by compare-and-swap and writes the operation with all that follows from '
        'it. result: committed; replay (this id is in already; detail = its state); lost (version '
        'or epoch moved); refused (detail begins with the guard: pause, pin, deploying, cooldown, '
        'budget, operation, depth, no target, barrier, schema, unknown service). epoch: the new '
        'one, for lost and refused the present one. For the daemon; call it in READ COMMITTED. '
        'Errors: RB005, 40001 under a stricter isolation.';

-- The rows of one operation, in one statement. All of them hang on the row of `moved`: without a
-- service nothing is written.
CREATE FUNCTION rollbackd.write_operation(svc rollbackd.service, id uuid, kind text, target text,
        automatic boolean, actor text, reason text, policy_hash text, evidence jsonb,
        generations text[], steps jsonb) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
        moment timestamptz := clock_timestamp();
        event_id uuid := gen_random_uuid();
BEGIN
        WITH moved AS (
                UPDATE service s SET active = target, epoch = s.epoch + 1, released_at = moment,
                        deploying_until = NULL,
                        automatic = s.automatic AND write_operation.kind <> 'restore'
                 WHERE s.name = svc.name RETURNING s.name, s.epoch
        ), versions AS (
                -- The version left behind loses its stable mark and is quarantined; the target's
                -- newest release is the one made here, and a restore acquits it.
                UPDATE version v
                   SET epoch = CASE WHEN v.version = target THEN m.epoch ELSE v.epoch END,
                       stable_at = CASE WHEN v.version = target
                                        OR write_operation.kind = 'restore' THEN v.stable_at END,
                       quarantined_until = CASE WHEN v.version = target THEN NULL
                                        WHEN write_operation.kind = 'rollback' THEN 'infinity'
                                        ELSE v.quarantined_until END,
                       reason = CASE WHEN v.version = target THEN NULL
                                        WHEN write_operation.kind = 'rollback'
                                        THEN coalesce(write_operation.reason, 'rolled back')
                                        ELSE v.reason END,
                       quarantined_by = CASE WHEN v.version = target THEN NULL
                                        WHEN write_operation.kind = 'rollback'
                                        THEN write_operation.id ELSE v.quarantined_by END
                  FROM moved m
                 WHERE v.service = m.name AND v.version IN (svc.active, target)
        ), revoked AS (
                UPDATE release r SET stable_at = NULL FROM moved m
                 WHERE r.service = m.name AND r.version = svc.active AND r.stable_at IS NOT NULL
                   AND write_operation.kind = 'rollback'
        ), released AS (
                INSERT INTO release (service, epoch, version, kind, code_ref, api_version,
                        schema_min, schema_max, artefact, actor, note, at)
                SELECT m.name, m.epoch, r.version, write_operation.kind, r.code_ref, r.api_version,
                       r.schema_min, r.schema_max, r.artefact, write_operation.actor,
                       write_operation.reason, moment
                  FROM moved m JOIN version v ON v.service = m.name AND v.version = target
                  JOIN release r ON r.service = v.service AND r.epoch = v.epoch
        ), opened AS (
                INSERT INTO operation (id, service, kind, automatic, parent, from_epoch, to_epoch,
                        from_version, to_version, state, policy_hash, evidence, actor, reason, xid,
                        opened_at)
                SELECT write_operation.id, m.name, write_operation.kind, write_operation.automatic,
                       (SELECT p.id FROM operation p
                         WHERE p.service = svc.name AND p.to_epoch = svc.epoch), svc.epoch, m.epoch,
                       svc.active, target, 'committed', write_operation.policy_hash,
                       write_operation.evidence, write_operation.actor, write_operation.reason,
                       pg_current_xact_id(), moment
                  FROM moved m
        ), bumped AS (
                INSERT INTO generation AS g (service, name, value, bumped_at)
                SELECT DISTINCT m.name, n.name, 1, moment FROM moved m, unnest(generations) n (name)
                ON CONFLICT ON CONSTRAINT generation_pkey
                DO UPDATE SET value = g.value + 1, bumped_at = excluded.bumped_at
        ), stepped AS (
                INSERT INTO step (operation, n, kind, host, spec, atomic, not_before)
                SELECT write_operation.id, x.n, x.kind, x.host, coalesce(x.spec, '{}'),
                       coalesce(x.atomic, false),
                       moment + x.not_before_seconds * interval '1 second'
                  FROM moved m, jsonb_to_recordset(steps) x (n int, kind text, host text,
                        spec jsonb, atomic boolean, not_before_seconds float8)
        ), told AS (
                INSERT INTO event (id, at, service, kind, operation, actor, fields)
                SELECT event_id, moment, m.name, write_operation.kind || '.committed',
                       write_operation.id, write_operation.actor, jsonb_build_object(
                       'from', svc.active, 'to', target, 'from_epoch', svc.epoch, 'epoch', m.epoch,
                       'automatic', write_operation.automatic, 'reason', write_operation.reason)
                  FROM moved m RETURNING seq
        )
        INSERT INTO delivery (id, event, subscriber, seq, next_at)
        SELECT gen_random_uuid(), event_id, u.name, t.seq, moment
          FROM told t JOIN subscriber u ON u.service = svc.name;
END
$$;
COMMENT ON FUNCTION rollbackd.write_operation(rollbackd.service, uuid, text, text, boolean, text,
        text, text, jsonb, text[], jsonb) IS
        'Writes pointer, release, quarantine, operation, generations, steps, event and deliveries. '
        'The caller holds the service''s lock and has asked the guards. Internal.';
