-- Retention: what is old enough goes in small batches, and the events that stay are append-only.

-- Every writer begins with a service's row: held back here, none can stand between the tables below.
LOCK TABLE rollbackd.service IN EXCLUSIVE MODE;

-- What a batch looks for, oldest first. '' stands for the events of no service.
CREATE INDEX operation_closed ON rollbackd.operation (closed_at) WHERE closed_at IS NOT NULL;
CREATE INDEX delivery_finished ON rollbackd.delivery (finished_at) WHERE state <> 'pending';
CREATE INDEX delivery_event ON rollbackd.delivery (event);
CREATE INDEX event_age ON rollbackd.event ((coalesce(service, '')), at);

-- The limit is asked of each row, so that nobody needs a special session to prune and nobody, the
-- owner included, can take away what is younger.
CREATE OR REPLACE FUNCTION rollbackd.refuse_event_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
BEGIN
        IF TG_OP <> 'DELETE' THEN
                RAISE EXCEPTION USING ERRCODE = 'RB007',
                        MESSAGE = format('%s of rollbackd.event refused: events are append-only',
                                TG_OP),
                        HINT = 'Correct a record by a further event: SELECT rollbackd.ack(...).';
        ELSIF OLD.at >= clock_timestamp() - interval '30 days' THEN
                RAISE EXCEPTION USING ERRCODE = 'RB007',
                        MESSAGE = format('DELETE of rollbackd.event refused: event %s is younger '
                                'than 30 days', OLD.id),
                        HINT = 'What is older than the retention goes by rollbackctl db prune.';
        END IF;
        RETURN OLD;
END
$$;
COMMENT ON FUNCTION rollbackd.refuse_event_change() IS
        'Trigger: keeps rollbackd.event append-only, for its owner too; only what is older than '
        '30 days may be deleted. Internal.';
DROP TRIGGER event_append_only ON rollbackd.event;
CREATE TRIGGER event_append_only BEFORE UPDATE OR TRUNCATE ON rollbackd.event
        FOR EACH STATEMENT EXECUTE FUNCTION rollbackd.refuse_event_change();
CREATE TRIGGER event_retention BEFORE DELETE ON rollbackd.event
        FOR EACH ROW EXECUTE FUNCTION rollbackd.refuse_event_change();

CREATE FUNCTION rollbackd.prune_kept() RETURNS uuid[]
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
BEGIN
        RETURN ARRAY(
                WITH RECURSIVE chain AS (
                        SELECT o.id, o.parent FROM service s
                          JOIN operation o ON o.service = s.name AND o.to_epoch = s.epoch
                        UNION
                        SELECT o.id, o.parent FROM operation o WHERE o.closed_at IS NULL
                        UNION
                        SELECT p.id, p.parent FROM chain c JOIN operation p ON p.id = c.parent)
                SELECT id FROM chain
                UNION
                SELECT t.operation FROM step t WHERE t.state = 'pending');
END
$$;
COMMENT ON FUNCTION rollbackd.prune_kept() IS
        'The operations that stay however old they are: open ones, those that made a service''s '
        'current epoch, the ones that these follow (parent), and those with unfinished steps. '
        'Internal.';

CREATE FUNCTION rollbackd.prune_count(before timestamptz, automatic_before timestamptz,
        kept uuid[]) RETURNS TABLE (what text, n int8)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp
SET enable_seqscan = on SET enable_bitmapscan = on AS $$
#variable_conflict use_column
BEGIN
        RETURN QUERY
        WITH going AS (
                SELECT o.id FROM operation o
                 WHERE o.closed_at < before AND o.id <> ALL (kept)
                   AND (NOT o.automatic OR o.opened_at < automatic_before))
        SELECT 'operations', count(*) FROM going
        UNION ALL
        SELECT 'steps', count(*) FROM step t JOIN going g ON g.id = t.operation
        UNION ALL
        SELECT 'deliveries', count(*) FROM delivery d
         WHERE d.state <> 'pending' AND d.finished_at < before
        UNION ALL
        SELECT 'events', count(*) FROM event e LEFT JOIN service s ON s.name = e.service
         WHERE e.at < least(before, s.released_at)
           AND coalesce(e.operation <> ALL (kept), true)
           AND NOT EXISTS (SELECT FROM delivery d WHERE d.event = e.id
                AND (d.state = 'pending' OR d.finished_at >= before));
END
$$;
COMMENT ON FUNCTION rollbackd.prune_count(timestamptz, timestamptz, uuid[]) IS
        'What prune() would delete in all its batches. Internal.';

-- Along the indexes above, whatever the statistics say: a sequential scan reads the whole table for
-- a thousand rows, and a bitmap scan fetches anew what earlier batches deleted, because only plain
-- index scans mark dead entries. In the one lock order: operation, step, delivery, event; what
-- somebody else holds is left for another day.
CREATE FUNCTION rollbackd.prune(older_than interval, most int DEFAULT 1000,
        dry_run boolean DEFAULT false) RETURNS TABLE (what text, n int8)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off AS $$
#variable_conflict use_column
DECLARE
        moment timestamptz := clock_timestamp();
        -- Bounded before it is subtracted: the difference has an end too.
        before timestamptz := moment - least(older_than, interval '1000 years');
        automatic_before timestamptz := least(before, moment - interval '366 days');
        kept uuid[];
        room int8 := most;
        gone int8;
        operations int8 := 0;
        steps int8 := 0;
        deliveries int8;
        events int8 := 0;
        op uuid;
        svc record;
BEGIN
        IF older_than IS NULL OR before > moment - interval '30 days' THEN
                RAISE EXCEPTION USING ERRCODE = 'RB005',
                        MESSAGE = format('older_than => %s is less than 30 days',
                                coalesce(quote_literal(older_than), 'NULL')),
                        HINT = 'The last 30 days always stay: SELECT * FROM '
                                'rollbackd.prune(''400 days'', dry_run => true);';
        ELSIF coalesce(most NOT BETWEEN 1 AND 10000, true) THEN
                RAISE EXCEPTION USING ERRCODE = 'RB005',
                        MESSAGE = format('most => %s is not within 1 and 10000',
                                coalesce(most::text, 'NULL')),
                        HINT = 'Call it again until all it says is 0: a batch is short on purpose.';
        END IF;
        kept := prune_kept();
        IF coalesce(dry_run, true) THEN
                RETURN QUERY SELECT * FROM prune_count(before, automatic_before, kept);
                RETURN;
        END IF;
        FOR op IN SELECT o.id FROM operation o
                 WHERE o.closed_at < before AND o.id <> ALL (kept)
                   AND (NOT o.automatic OR o.opened_at < automatic_before)
                 ORDER BY o.closed_at LIMIT most FOR UPDATE SKIP LOCKED
        LOOP
                DELETE FROM step t WHERE t.operation = op;
                GET DIAGNOSTICS gone = ROW_COUNT;
                DELETE FROM operation o WHERE o.id = op;
                operations := operations + 1;
                steps := steps + gone;
                room := room - 1 - gone;
                EXIT WHEN room <= 0;
        END LOOP;
        DELETE FROM delivery d WHERE d.id = ANY (ARRAY(
                SELECT f.id FROM delivery f WHERE f.state <> 'pending' AND f.finished_at < before
                 ORDER BY f.finished_at LIMIT greatest(room, 0) FOR UPDATE SKIP LOCKED));
        GET DIAGNOSTICS deliveries = ROW_COUNT;
        room := room - deliveries;
        FOR svc IN SELECT s.name, least(before, s.released_at) AS before FROM service s
                UNION ALL SELECT '', before
        LOOP
                EXIT WHEN room <= 0;
                DELETE FROM event e WHERE e.seq = ANY (ARRAY(
                        SELECT f.seq FROM event f
                         WHERE coalesce(f.service, '') = svc.name AND f.at < svc.before
                           AND coalesce(f.operation <> ALL (kept), true)
                           AND (SELECT d.id FROM delivery d WHERE d.event = f.id LIMIT 1) IS NULL
                         ORDER BY f.at LIMIT room FOR UPDATE SKIP LOCKED));
                GET DIAGNOSTICS gone = ROW_COUNT;
                events := events + gone;
                room := room - gone;
        END LOOP;
        RETURN QUERY VALUES ('operations', operations), ('steps', steps),
                ('deliveries', deliveries), ('events', events);
END
$$;
COMMENT ON FUNCTION rollbackd.prune(interval, int, boolean) IS
        'One batch of retention: deletes at most `most` rows (the steps of the last operation on '
        'top) of closed operations with their steps, finished deliveries, and events, that are '
        'older than older_than, 30 days or more; says how many of each. Call it until all are 0. '
        'dry_run: counts all that would go, deletes nothing. Services, versions, releases and '
        'generations stay for ever. So do events since a service''s current release, events with '
        'a delivery, operations (with their events) that are open, made the current epoch, lead '
        'up to such a one or have unfinished steps. Automatic operations stay at least 366 days: '
        'a policy''s budget may count them. For the daemon and the owner. Errors: RB005.';

GRANT EXECUTE ON FUNCTION rollbackd.prune(interval, int, boolean) TO rollbackd;
