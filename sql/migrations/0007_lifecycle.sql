-- What becomes of an operation after its commit.

-- Locks the service of an operation and then the operation itself, in that order.
CREATE FUNCTION rollbackd.lock_operation(id uuid) RETURNS rollbackd.operation
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
#variable_conflict use_column
DECLARE
        op operation%ROWTYPE;
BEGIN
        PERFORM FROM service s
          WHERE s.name = (SELECT o.service FROM operation o WHERE o.id = lock_operation.id)
            FOR NO KEY UPDATE;
        SELECT * INTO op FROM operation o WHERE o.id = lock_operation.id FOR NO KEY UPDATE;
        IF NOT FOUND THEN
                RAISE EXCEPTION USING ERRCODE = 'RB001',
                        MESSAGE = format('no operation has the id %s',
                                coalesce(lock_operation.id::text, 'NULL')),
                        HINT = 'SELECT operation, service, epoch FROM rollbackd.history '
                                'ORDER BY at DESC LIMIT 20;';
        END IF;
        RETURN op;
END
$$;
COMMENT ON FUNCTION rollbackd.lock_operation(uuid) IS
        'Locks service and operation in the ledger''s order; RB001 if there is none. Internal.';

CREATE FUNCTION rollbackd.move_operation(id uuid, state text, detail text DEFAULT NULL,
        fields jsonb DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
#variable_conflict use_column
DECLARE
        open_states text[] := ARRAY['committed', 'effecting', 'verifying'];
        closed_states text[] := ARRAY['recovered', 'not_recovered', 'unverified', 'failed'];
        moment timestamptz;
        op operation%ROWTYPE;
        closes boolean := move_operation.state = ANY (closed_states);
BEGIN
        op := lock_operation(move_operation.id);
        moment := clock_timestamp();
        IF op.state = move_operation.state THEN
                RETURN true;
        ELSIF op.closed_at IS NOT NULL THEN
                RETURN false;
        ELSIF NOT closes AND coalesce(array_position(open_states, move_operation.state)
                        <= array_position(open_states, op.state), true) THEN
                RAISE EXCEPTION USING ERRCODE = 'RB007',
                        MESSAGE = format('operation %s cannot go from %s to %s', op.id, op.state,
                                coalesce(move_operation.state, 'NULL')),
                        HINT = 'The order is committed, effecting, verifying, and then recovered, '
                                'not_recovered, unverified or failed.';
        END IF;
        UPDATE operation o SET state = move_operation.state,
                detail = coalesce(move_operation.detail, o.detail),
                closed_at = CASE WHEN closes THEN moment END
         WHERE o.id = op.id;
        IF closes AND op.automatic THEN
                UPDATE service SET cooldown_from = moment WHERE name = op.service;
        END IF;
        IF move_operation.state = 'not_recovered' THEN
                UPDATE version SET quarantined_until = NULL, reason = NULL, quarantined_by = NULL
                 WHERE service = op.service AND version = op.from_version
                   AND quarantined_by = op.id;
        END IF;
        PERFORM write_event(op.service, op.kind || '.' || move_operation.state, op.id, session_user,
                jsonb_build_object('from', op.from_version, 'to', op.to_version,
                        'epoch', op.to_epoch, 'automatic', op.automatic,
                        'detail', move_operation.detail) || coalesce(move_operation.fields, '{}'),
                closes);
        PERFORM pg_notify('rollbackd', op.service || ' ' || op.to_epoch);
        RETURN true;
END
$$;
COMMENT ON FUNCTION rollbackd.move_operation(uuid, text, text, jsonb) IS
        'Moves an operation on: committed, effecting, verifying, then recovered, not_recovered '
        '(lifts the quarantine that it set), unverified or failed. True also if it is there '
        'already; false if it was closed otherwise, such as superseded. For the daemon. '
        'Errors: RB001, RB007 (backwards).';

CREATE FUNCTION rollbackd.adopt_operation(id uuid, steps jsonb, policy_hash text) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
#variable_conflict use_column
DECLARE
        op operation%ROWTYPE;
        moment timestamptz;
        added int;
BEGIN
        PERFORM check_text('policy_hash', adopt_operation.policy_hash, 128, true);
        op := lock_operation(adopt_operation.id);
        moment := clock_timestamp();
        IF op.state <> 'committed' OR op.policy_hash IS NOT NULL
           OR EXISTS (SELECT FROM step s WHERE s.operation = op.id) THEN
                RETURN 0;
        END IF;
        INSERT INTO step (operation, n, kind, host, spec, atomic, not_before)
        SELECT op.id, x.n, x.kind, x.host,
               coalesce(x.spec, '{}') || CASE WHEN x.atomic THEN '{"after_commit": true}'::jsonb
                                              ELSE '{}' END,
               coalesce(x.atomic, false), moment + x.not_before_seconds * interval '1 second'
          FROM jsonb_to_recordset(steps) x (n int, kind text, host text, spec jsonb,
                atomic boolean, not_before_seconds float8);
        GET DIAGNOSTICS added = ROW_COUNT;
        UPDATE operation o SET policy_hash = adopt_operation.policy_hash WHERE o.id = op.id;
        PERFORM write_event(op.service, op.kind || '.adopted', op.id, session_user,
                jsonb_build_object('steps', added, 'policy_hash', adopt_operation.policy_hash),
                false);
        RETURN added;
END
$$;
COMMENT ON FUNCTION rollbackd.adopt_operation(uuid, jsonb, text) IS
        'Gives an operation that a person made in SQL the steps of the policy, once; returns how '
        'many. Atomic steps get {"after_commit": true} in their spec. 0 if it is not a fresh '
        'operation without a policy. For the daemon. Errors: RB001, RB005.';

CREATE FUNCTION rollbackd.atomic_result(operation uuid, n int, state text, words text DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
#variable_conflict use_column
BEGIN
        IF coalesce(atomic_result.state NOT IN ('done', 'failed'), true) THEN
                RAISE EXCEPTION USING ERRCODE = 'RB005',
                        MESSAGE = 'the result of an atomic step is done or failed',
                        HINT = 'This is a defect of the caller: report it.';
        END IF;
        UPDATE step s SET state = atomic_result.state, words = left(atomic_result.words, 2000),
                attempt = s.attempt + 1, finished_at = clock_timestamp()
          FROM operation o
         WHERE o.id = atomic_result.operation AND o.xid = pg_current_xact_id()
           AND s.operation = o.id AND s.n = atomic_result.n AND s.atomic AND s.state = 'pending';
        IF NOT FOUND THEN
                RAISE EXCEPTION USING ERRCODE = 'RB007',
                        MESSAGE = format('operation %s has no pending atomic step %s in this '
                                'transaction', atomic_result.operation, atomic_result.n),
                        HINT = 'The result belongs into the transaction of commit_operation().';
        END IF;
END
$$;
COMMENT ON FUNCTION rollbackd.atomic_result(uuid, int, text, text) IS
        'Records the result (done, failed) of an atomic step inside the transaction that committed '
        'its operation. For the daemon. Errors: RB005, RB007 (no such step, or too late).';
