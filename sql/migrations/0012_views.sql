-- What people, dashboards and the daemon's API may read. Views run with their owner's rights; a
-- subscriber's address is in none of them.

CREATE VIEW rollbackd.service_status AS
SELECT s.name AS service, s.active AS version, s.epoch, r.kind, s.released_at,
       r.stable_at IS NOT NULL AS stable, s.automatic,
       CASE WHEN s.paused_until > clock_timestamp() THEN s.paused_until END AS paused_until,
       CASE WHEN s.paused_until > clock_timestamp() THEN s.pause_reason END AS pause_reason,
       CASE WHEN s.pinned_until > clock_timestamp() THEN s.pinned_until END AS pinned_until,
       CASE WHEN s.pinned_until > clock_timestamp() THEN s.pin_reason END AS pin_reason,
       CASE WHEN s.deploying_until > clock_timestamp() THEN s.deploying_until END
               AS deploying_until,
       (SELECT c.version FROM rollbackd.candidate c
         WHERE c.service = s.name AND c.refusal IS NULL AND c.stable
         ORDER BY c.epoch DESC LIMIT 1) AS last_stable,
       (SELECT c.version FROM rollbackd.candidate c
         WHERE c.service = s.name AND c.refusal IS NULL
         ORDER BY c.epoch DESC LIMIT 1) AS previous,
       s.barrier_epoch, s.schema_current, o.id AS operation, o.kind AS operation_kind,
       o.state AS operation_state
  FROM rollbackd.service s
  JOIN rollbackd.release r ON r.service = s.name AND r.epoch = s.epoch
  LEFT JOIN rollbackd.operation o ON o.service = s.name AND o.closed_at IS NULL;
COMMENT ON VIEW rollbackd.service_status IS
        'Each service: what runs, what holds automatic acts, and where a rollback would go '
        '(last_stable; previous: the newest admissible one, stable or not).';

CREATE VIEW rollbackd.history AS
SELECT r.service, r.epoch, r.version, r.kind, r.at,
       lead(r.at) OVER (PARTITION BY r.service ORDER BY r.epoch) AS until, r.actor, r.source,
       r.note, r.code_ref, r.api_version, r.schema_min, r.schema_max, r.barrier, r.artefact,
       r.stable_at, o.id AS operation, o.automatic, o.state AS operation_state
  FROM rollbackd.release r
  LEFT JOIN rollbackd.operation o ON o.service = r.service AND o.to_epoch = r.epoch;
COMMENT ON VIEW rollbackd.history IS
        'Every release of every service, with the operation that made it if one did.';

CREATE VIEW rollbackd.operation_status AS
SELECT o.id, o.service, o.kind, o.automatic, o.parent, o.from_epoch, o.to_epoch, o.from_version,
       o.to_version, o.state, o.detail, o.policy_hash, o.evidence, o.actor, o.reason, o.opened_at,
       o.closed_at, o.label, o.label_note, o.label_by,
       coalesce((SELECT jsonb_agg(jsonb_build_object('n', t.n, 'kind', t.kind, 'host', t.host,
                        'atomic', t.atomic, 'state', t.state, 'attempt', t.attempt,
                        'not_before', t.not_before, 'progress', t.progress, 'words', t.words,
                        'finished_at', t.finished_at) ORDER BY t.n)
                   FROM rollbackd.step t WHERE t.operation = o.id), '[]') AS steps
  FROM rollbackd.operation o;
COMMENT ON VIEW rollbackd.operation_status IS
        'Every operation with its evidence and the state of its steps.';

CREATE VIEW rollbackd.recent_event AS
SELECT e.seq, e.id, e.at, e.service, e.kind, e.operation, e.actor, e.fields,
       e.xid < pg_snapshot_xmin(pg_current_snapshot()) AS settled
  FROM rollbackd.event e;
COMMENT ON VIEW rollbackd.recent_event IS
        'The events. A reader that keeps a cursor over seq goes on only over settled ones: before '
        'an unsettled one, others may still appear. Ask with ORDER BY seq DESC LIMIT n.';

CREATE VIEW rollbackd.delivery_status AS
SELECT d.id, d.subscriber, d.seq, e.kind, e.service, e.at, d.state, d.attempt, d.next_at, d.error,
       d.finished_at
  FROM rollbackd.delivery d JOIN rollbackd.event e ON e.id = d.event;
COMMENT ON VIEW rollbackd.delivery_status IS
        'Notices to the subscribers of the policies: pending, done, or dead with the error.';

CREATE VIEW rollbackd.observer_status AS
SELECT o.name, o.seen_at, o.program_version, o.schema FROM rollbackd.observer o;
COMMENT ON VIEW rollbackd.observer_status IS 'The daemons, and when each was last here.';

CREATE FUNCTION rollbackd.observer_seen(name text, program_version text, schema int) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
#variable_conflict use_column
BEGIN
        INSERT INTO observer AS o (name, seen_at, program_version, schema)
        VALUES (observer_seen.name, clock_timestamp(), observer_seen.program_version,
                observer_seen.schema)
        ON CONFLICT ON CONSTRAINT observer_pkey DO UPDATE SET seen_at = excluded.seen_at,
                program_version = excluded.program_version, schema = excluded.schema;
END
$$;
COMMENT ON FUNCTION rollbackd.observer_seen(text, text, int) IS
        'A daemon says that it is here: host name, program version, the schema it was built for. '
        'For the daemon. Errors: 23514 (a limit).';
