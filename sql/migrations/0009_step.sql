-- The steps of an operation, claimed and ended one by one.

CREATE FUNCTION rollbackd.claim_steps(operation uuid, host text, lease interval)
RETURNS TABLE (n int, kind text, spec jsonb, attempt int, progress jsonb, wait_seconds float8,
        failed int, service text, from_version text, to_version text, released_at timestamptz,
        from_epoch int8, to_epoch int8)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
#variable_conflict use_column
DECLARE
        st step%ROWTYPE;
        moment timestamptz;
        free_at timestamptz;
        claimed boolean;
BEGIN
        SELECT * INTO st FROM step s
         WHERE s.operation = claim_steps.operation AND s.state = 'pending'
         ORDER BY s.n LIMIT 1 FOR NO KEY UPDATE;
        moment := clock_timestamp();
        -- A worker that comes back under its own name takes its step again at once; a step of
        -- another host is looked at again after a lease.
        free_at := CASE WHEN st.host <> claim_steps.host THEN moment + claim_steps.lease
                ELSE greatest(st.not_before, CASE WHEN st.claimed_by = claim_steps.host THEN NULL
                        ELSE st.claimed_until END) END;
        claimed := st.n IS NOT NULL AND coalesce(free_at <= moment, true);
        IF claimed THEN
                UPDATE step s SET attempt = s.attempt + 1, claimed_by = claim_steps.host,
                        claimed_until = moment + claim_steps.lease
                 WHERE s.operation = st.operation AND s.n = st.n;
        END IF;
        RETURN QUERY SELECT st.n, st.kind, st.spec, st.attempt + claimed::int, st.progress,
                CASE WHEN claimed THEN 0 ELSE extract(epoch FROM free_at - moment)::float8 END,
                (SELECT count(*)::int FROM step s WHERE s.operation = o.id AND s.state = 'failed'),
                o.service, o.from_version, o.to_version, r.at, o.from_epoch, o.to_epoch
          FROM operation o JOIN release r ON r.service = o.service AND r.epoch = o.from_epoch
         WHERE o.id = claim_steps.operation;
END
$$;
COMMENT ON FUNCTION rollbackd.claim_steps(uuid, text, interval) IS
        'The next step of an operation, in order; one row. wait_seconds 0: it is claimed for the '
        'lease, and its attempt counted; above 0: nothing was claimed, ask again then. n null: '
        'none is left, and `failed` of them failed. released_at: the release of from_version. '
        'host: the worker''s own name. No row: no such operation. For the daemon.';

CREATE FUNCTION rollbackd.step_progress(operation uuid, n int, progress jsonb, lease interval
        DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
#variable_conflict use_column
BEGIN
        UPDATE step s SET progress = step_progress.progress,
                claimed_until = coalesce(clock_timestamp() + step_progress.lease, s.claimed_until)
         WHERE s.operation = step_progress.operation AND s.n = step_progress.n
           AND s.state = 'pending';
        RETURN FOUND;
END
$$;
COMMENT ON FUNCTION rollbackd.step_progress(uuid, int, jsonb, interval) IS
        'Keeps how far a step is, and renews its lease if one is given; false if the step is not '
        'pending. For the daemon.';

CREATE FUNCTION rollbackd.step_result(operation uuid, n int, state text, words text DEFAULT NULL,
        retry_in interval DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
#variable_conflict use_column
DECLARE
        again boolean := step_result.state = 'retry';
BEGIN
        IF coalesce(step_result.state NOT IN ('done', 'failed', 'dropped', 'retry'), true)
           OR again AND step_result.retry_in IS NULL THEN
                RAISE EXCEPTION USING ERRCODE = 'RB005',
                        MESSAGE = 'the result of a step is done, failed, dropped, or retry with '
                                'retry_in',
                        HINT = 'This is a defect of the caller: report it.';
        END IF;
        UPDATE step s SET state = CASE WHEN again THEN 'pending' ELSE step_result.state END,
                words = left(step_result.words, 2000), claimed_by = NULL, claimed_until = NULL,
                not_before = CASE WHEN again THEN clock_timestamp() + step_result.retry_in
                                  ELSE s.not_before END,
                finished_at = CASE WHEN again THEN NULL ELSE clock_timestamp() END
         WHERE s.operation = step_result.operation AND s.n = step_result.n
           AND s.state = 'pending';
        RETURN FOUND;
END
$$;
COMMENT ON FUNCTION rollbackd.step_result(uuid, int, text, text, interval) IS
        'Ends a step (done, failed, dropped) or puts it back (retry, retry_in); false if it had '
        'ended already. For the daemon. Errors: RB005.';

CREATE FUNCTION rollbackd.leftover_operations(services text[])
RETURNS TABLE (id uuid, service text, kind text, state text, from_epoch int8, to_epoch int8,
        from_version text, to_version text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
#variable_conflict use_column
BEGIN
        RETURN QUERY SELECT o.id, o.service, o.kind, o.state, o.from_epoch, o.to_epoch,
                o.from_version, o.to_version
          FROM operation o
         WHERE o.id IN (SELECT s.operation FROM step s WHERE s.state = 'pending')
           AND o.closed_at IS NOT NULL AND o.service = ANY (leftover_operations.services)
         ORDER BY o.opened_at;
END
$$;
COMMENT ON FUNCTION rollbackd.leftover_operations(text[]) IS
        'Closed operations (mostly superseded ones) that still have steps to run: a daemon that '
        'starts claims these too. For the daemon.';
