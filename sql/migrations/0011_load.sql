-- What the daemon reads: all facts of many services in one statement.

CREATE FUNCTION rollbackd.load(services text[], cooldowns interval[], budget_pers interval[])
RETURNS TABLE (service text, version text, epoch int8, kind text, released_age float8,
        paused_left float8, pinned_left float8, deploying boolean, automatic boolean,
        stable boolean, cooldown_left float8, budget_used int, budget_free_in float8,
        resumes int8, operation jsonb, candidates jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
#variable_conflict use_column
DECLARE
        moment timestamptz := clock_timestamp();
BEGIN
        RETURN QUERY
        SELECT s.name, s.active, s.epoch, r.kind,
               greatest(0, extract(epoch FROM moment - s.released_at))::float8,
               coalesce(greatest(0, extract(epoch FROM s.paused_until - moment)), 0)::float8,
               coalesce(greatest(0, extract(epoch FROM s.pinned_until - moment)), 0)::float8,
               coalesce(s.deploying_until > moment, false), s.automatic, r.stable_at IS NOT NULL,
               coalesce(greatest(0, extract(epoch FROM s.cooldown_from + q.cooldown - moment)),
                        0)::float8,
               b.used::int,
               coalesce(greatest(0, extract(epoch FROM b.oldest + q.budget_per - moment)),
                        0)::float8,
               s.resumes, o.value, coalesce(c.list, '[]'::jsonb)
          FROM unnest(services, cooldowns, budget_pers) q (name, cooldown, budget_per)
          JOIN service s ON s.name = q.name
          JOIN release r ON r.service = s.name AND r.epoch = s.epoch
          LEFT JOIN LATERAL (
                SELECT count(*) AS used, min(a.opened_at) AS oldest FROM operation a
                 WHERE a.service = s.name AND a.automatic AND a.opened_at > moment - q.budget_per
          ) b ON true
          LEFT JOIN LATERAL (
                SELECT jsonb_build_object('id', p.id, 'kind', p.kind, 'automatic', p.automatic,
                        'from_epoch', p.from_epoch, 'to_epoch', p.to_epoch,
                        'from_version', p.from_version, 'to_version', p.to_version,
                        'state', p.state, 'opened_age',
                        greatest(0, extract(epoch FROM moment - p.opened_at))::float8,
                        'steps', EXISTS (SELECT FROM step t WHERE t.operation = p.id)) AS value
                  FROM operation p WHERE p.service = s.name AND p.closed_at IS NULL
          ) o ON true
          LEFT JOIN LATERAL (
                SELECT jsonb_agg(jsonb_build_object('version', k.version, 'epoch', k.epoch,
                        'stable', k.stable_at IS NOT NULL,
                        'quarantined', coalesce(greatest(k.quarantined_until, k.banned_until)
                                > moment, false),
                        'behind_barrier', k.epoch < s.barrier_epoch,
                        'schema_fits', coalesce(k.schema_max >= s.schema_current, true),
                        'previous', k.previous) ORDER BY k.epoch DESC) AS list
                  FROM (SELECT w.*, row_number() OVER (ORDER BY w.epoch DESC) = 1 AS previous
                          FROM (
                        -- The newest 31, and the last stable one however old it is.
                        (SELECT v.* FROM version v
                          WHERE v.service = s.name AND v.version <> s.active
                            AND v.epoch IS NOT NULL
                          ORDER BY v.epoch DESC LIMIT 31)
                        UNION
                        (SELECT v.* FROM version v
                          WHERE v.service = s.name AND v.version <> s.active
                            AND v.stable_at IS NOT NULL AND v.epoch >= s.barrier_epoch
                            AND coalesce(v.schema_max >= s.schema_current, true)
                            AND coalesce(greatest(v.quarantined_until, v.banned_until) <= moment,
                                    true)
                          ORDER BY v.epoch DESC LIMIT 1)) w) k
          ) c ON true;
END
$$;
COMMENT ON FUNCTION rollbackd.load(text[], interval[], interval[]) IS
        'The facts of each of these services that is registered, with its policy''s cooldown and '
        'budget period; times as seconds by the database''s clock, 0 when over or not set. '
        'operation: the open one, or null. candidates: up to 32 other versions, newest release '
        'first, the last stable one always among them. For the daemon.';
