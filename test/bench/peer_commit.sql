-- The rows of one rollback as one statement without any guard: what commit_operation() is measured
-- against. pgbench counts the number up and sends every variable as a parameter.
\set number :number + 1
WITH given AS (
        SELECT gen_random_uuid() AS id, gen_random_uuid() AS event_id, clock_timestamp() AS moment,
               :prefix::text || :number::text AS service, 'v2'::text AS old, 'v1'::text AS target
), moved AS (
        UPDATE rollbackd.service s SET active = g.target, epoch = s.epoch + 1,
                released_at = g.moment, deploying_until = NULL
          FROM given g WHERE s.name = g.service AND s.active = g.old AND s.epoch = 2
        RETURNING s.name, s.epoch, g.id, g.event_id, g.moment, g.old, g.target
), versions AS (
        UPDATE rollbackd.version v
           SET epoch = CASE WHEN v.version = m.target THEN m.epoch ELSE v.epoch END,
               stable_at = CASE WHEN v.version = m.target THEN v.stable_at END,
               quarantined_until = CASE WHEN v.version = m.old THEN 'infinity'::timestamptz END,
               reason = CASE WHEN v.version = m.old THEN 'errors above 5 % for 30 s' END,
               quarantined_by = CASE WHEN v.version = m.old THEN m.id END
          FROM moved m WHERE v.service = m.name AND v.version IN (m.old, m.target)
), revoked AS (
        UPDATE rollbackd.release r SET stable_at = NULL FROM moved m
         WHERE r.service = m.name AND r.version = m.old AND r.stable_at IS NOT NULL
), released AS (
        INSERT INTO rollbackd.release (service, epoch, version, kind, actor, note, at)
        SELECT m.name, m.epoch, m.target, 'rollback', 'rollbackd', 'errors above 5 % for 30 s',
               m.moment FROM moved m
), opened AS (
        INSERT INTO rollbackd.operation (id, service, kind, automatic, from_epoch, to_epoch,
                from_version, to_version, state, policy_hash, evidence, actor, reason, xid,
                opened_at)
        SELECT m.id, m.name, 'rollback', true, m.epoch - 1, m.epoch, m.old, m.target, 'committed',
               '0123456789abcdef', :evidence::jsonb, 'rollbackd', 'errors above 5 % for 30 s',
               pg_current_xact_id(), m.moment FROM moved m
), stepped AS (
        INSERT INTO rollbackd.step (operation, n, kind, host, spec, atomic, not_before)
        SELECT m.id, x.n, x.kind, x.host, x.spec, x.atomic,
               m.moment + x.not_before_seconds * interval '1 second'
          FROM moved m, jsonb_to_recordset(:steps::jsonb) x (n int, kind text, host text,
                spec jsonb, atomic boolean, not_before_seconds float8)
), told AS (
        INSERT INTO rollbackd.event (id, at, service, kind, operation, actor, fields)
        SELECT m.event_id, m.moment, m.name, 'rollback.committed', m.id, 'rollbackd',
               jsonb_build_object('from', m.old, 'to', m.target, 'from_epoch', m.epoch - 1,
               'epoch', m.epoch, 'automatic', true, 'reason', 'errors above 5 % for 30 s')
          FROM moved m RETURNING seq
), delivered AS (
        INSERT INTO rollbackd.delivery (id, event, subscriber, seq, next_at)
        SELECT gen_random_uuid(), m.event_id, u.name, t.seq, m.moment
          FROM moved m, told t, rollbackd.subscriber u WHERE u.service = m.name
)
SELECT pg_notify('rollbackd', m.name || ' ' || m.epoch) FROM moved m;
