-- Events that the daemon writes, and their way to the subscribers.

CREATE FUNCTION rollbackd.record_event(service text, kind text, operation uuid, actor text,
        fields jsonb, id uuid DEFAULT NULL) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
#variable_conflict use_column
DECLARE
        svc service%ROWTYPE;
BEGIN
        IF record_event.service IS NOT NULL THEN
                svc := lock_service(record_event.service);
        END IF;
        IF EXISTS (SELECT FROM event e WHERE e.id = record_event.id) THEN
                RETURN record_event.id;
        END IF;
        IF record_event.kind IN ('rollback.would', 'rollback.confirm') THEN
                UPDATE service SET cooldown_from = clock_timestamp() WHERE name = svc.name;
                PERFORM pg_notify('rollbackd', svc.name || ' ' || svc.epoch);
        END IF;
        RETURN write_event(record_event.service, record_event.kind, record_event.operation,
                record_event.actor, record_event.fields, true, record_event.id);
END
$$;
COMMENT ON FUNCTION rollbackd.record_event(text, text, uuid, text, jsonb, uuid) IS
        'Appends an event and its deliveries, once per id; returns the id. rollback.would and '
        'rollback.confirm start the cooldown. service null: of the daemon itself. For the daemon. '
        'Errors: RB001, 23514 (a limit).';

CREATE FUNCTION rollbackd.put_subscribers(service text, entries jsonb) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
#variable_conflict use_column
DECLARE
        svc service%ROWTYPE;
        prefix text := 'policy:' || put_subscribers.service || ':';
        wanted int := jsonb_array_length(coalesce(put_subscribers.entries, '[]'));
BEGIN
        IF wanted > 32 THEN
                RAISE EXCEPTION USING ERRCODE = 'RB005',
                        MESSAGE = format('%s notify entries, at most 32 are kept', wanted),
                        HINT = 'Join some of them behind one receiver.';
        END IF;
        svc := lock_service(put_subscribers.service);
        WITH gone AS (
                DELETE FROM subscriber u WHERE u.service = svc.name
                   AND u.name NOT IN (SELECT prefix || i FROM generate_series(1, wanted) i)
                RETURNING u.name)
        UPDATE delivery d SET state = 'dead', finished_at = clock_timestamp(),
                error = 'the subscriber was removed from the policy'
          FROM gone WHERE d.subscriber = gone.name AND d.state = 'pending';
        INSERT INTO subscriber AS u (name, service, spec)
        SELECT prefix || x.i, svc.name, x.spec
          FROM jsonb_array_elements(put_subscribers.entries) WITH ORDINALITY x (spec, i)
        ON CONFLICT ON CONSTRAINT subscriber_pkey
        DO UPDATE SET spec = excluded.spec WHERE u.spec <> excluded.spec;
        RETURN wanted;
END
$$;
COMMENT ON FUNCTION rollbackd.put_subscribers(text, jsonb) IS
        'Makes a policy''s notify entries the subscribers policy:SERVICE:1, 2, ...; deliveries to '
        'those that are gone become dead. Returns how many there are. For the daemon. '
        'Errors: RB001, RB005.';

CREATE FUNCTION rollbackd.claim_deliveries(most int, lease interval)
RETURNS TABLE (id uuid, subscriber text, spec jsonb, event uuid, kind text, at timestamptz,
        seq int8, service text, operation uuid, fields jsonb, attempt int)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
#variable_conflict use_column
DECLARE
        moment timestamptz := clock_timestamp();
BEGIN
        -- The oldest pending delivery of each subscriber: no later one may overtake it. State and
        -- time are asked of the locked row again, for another worker may just have had it.
        RETURN QUERY
        WITH claimed AS (
                UPDATE delivery d SET attempt = d.attempt + 1,
                        next_at = moment + claim_deliveries.lease
                 WHERE d.id = ANY (ARRAY(
                        SELECT p.id FROM subscriber u
                         CROSS JOIN LATERAL (SELECT q.id FROM delivery q
                                WHERE q.subscriber = u.name AND q.state = 'pending'
                                ORDER BY q.seq LIMIT 1) head
                          JOIN delivery p ON p.id = head.id
                         WHERE p.state = 'pending' AND p.next_at <= moment
                         ORDER BY p.next_at LIMIT claim_deliveries.most
                           FOR NO KEY UPDATE OF p SKIP LOCKED))
                RETURNING d.id, d.subscriber, d.event, d.seq, d.attempt)
        SELECT c.id, c.subscriber, u.spec, e.id, e.kind, e.at, c.seq, e.service, e.operation,
               e.fields, c.attempt
          FROM claimed c JOIN event e ON e.id = c.event JOIN subscriber u ON u.name = c.subscriber
         ORDER BY c.seq;
END
$$;
COMMENT ON FUNCTION rollbackd.claim_deliveries(int, interval) IS
        'Claims due deliveries for the lease, at most one per subscriber and always its oldest; '
        'counts the attempt. id stays the same over retries. For the daemon.';

CREATE FUNCTION rollbackd.delivery_result(id uuid, state text, retry_in interval DEFAULT NULL,
        error text DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
#variable_conflict use_column
DECLARE
        again boolean := delivery_result.state = 'retry';
BEGIN
        IF coalesce(delivery_result.state NOT IN ('done', 'dead', 'retry'), true)
           OR again AND delivery_result.retry_in IS NULL THEN
                RAISE EXCEPTION USING ERRCODE = 'RB005',
                        MESSAGE = 'the result of a delivery is done, dead, or retry with retry_in',
                        HINT = 'This is a defect of the caller: report it.';
        END IF;
        UPDATE delivery d SET state = CASE WHEN again THEN 'pending' ELSE delivery_result.state END,
                next_at = CASE WHEN again THEN clock_timestamp() + delivery_result.retry_in
                               ELSE d.next_at END,
                error = left(delivery_result.error, 2000),
                finished_at = CASE WHEN again THEN NULL ELSE clock_timestamp() END
         WHERE d.id = delivery_result.id AND d.state = 'pending';
        RETURN FOUND;
END
$$;
COMMENT ON FUNCTION rollbackd.delivery_result(uuid, text, interval, text) IS
        'Ends a delivery (done, dead) or puts it off (retry, retry_in); false if it had ended '
        'already. For the daemon. Errors: RB005.';

CREATE FUNCTION rollbackd.next_delivery_in() RETURNS float8
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
#variable_conflict use_column
BEGIN
        RETURN (SELECT CASE WHEN min(head.next_at) IS NOT NULL THEN
                        greatest(0, extract(epoch FROM min(head.next_at) - clock_timestamp())) END
                  FROM subscriber u CROSS JOIN LATERAL (SELECT q.next_at FROM delivery q
                        WHERE q.subscriber = u.name AND q.state = 'pending'
                        ORDER BY q.seq LIMIT 1) head);
END
$$;
COMMENT ON FUNCTION rollbackd.next_delivery_in() IS
        'Seconds until the next delivery can be claimed; null: none is pending. For the daemon.';
