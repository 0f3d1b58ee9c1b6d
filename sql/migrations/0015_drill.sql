-- The result of the last drill of each service, and the version of the schema with all of it.

CREATE TABLE rollbackd.drill (
        service         text PRIMARY KEY REFERENCES rollbackd.service,
        at              timestamptz NOT NULL,
        succeeded       boolean NOT NULL,
        -- The last time that it did, however often it failed since.
        succeeded_at    timestamptz,
        report          jsonb CONSTRAINT drill_report
                        CHECK (octet_length(report::text) <= 65536)
) WITH (fillfactor = 50);

CREATE FUNCTION rollbackd.drill_result(service text, succeeded boolean, report jsonb)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rollbackd, pg_temp AS $$
#variable_conflict use_column
DECLARE
        moment timestamptz;
        svc service%ROWTYPE;
BEGIN
        IF drill_result.succeeded IS NULL THEN
                RAISE EXCEPTION USING ERRCODE = 'RB005',
                        MESSAGE = 'the result of a drill is succeeded => true or false',
                        HINT = 'This is a defect of the caller: report it.';
        END IF;
        -- Read without a lock: a result can be kept while a deploy or rollback holds the service.
        SELECT * INTO svc FROM service WHERE name = drill_result.service;
        IF NOT FOUND THEN
                svc := lock_service(drill_result.service);
        END IF;
        moment := clock_timestamp();
        INSERT INTO drill AS d (service, at, succeeded, succeeded_at, report)
        VALUES (svc.name, moment, drill_result.succeeded,
                CASE WHEN drill_result.succeeded THEN moment END, drill_result.report)
        ON CONFLICT ON CONSTRAINT drill_pkey DO UPDATE SET at = excluded.at,
                succeeded = excluded.succeeded,
                succeeded_at = coalesce(excluded.succeeded_at, d.succeeded_at),
                report = excluded.report;
        PERFORM write_event(svc.name,
                CASE WHEN drill_result.succeeded THEN 'drill.succeeded' ELSE 'drill.failed' END,
                NULL, session_user, jsonb_build_object('version', svc.active, 'epoch', svc.epoch),
                false);
END
$$;
COMMENT ON FUNCTION rollbackd.drill_result(text, boolean, jsonb) IS
        'Keeps the result of a service''s drill in place of the one before, and appends the event '
        'drill.succeeded or drill.failed. report: at most 65536 octets. For the daemon''s role and '
        'operators. Errors: RB001, RB005, 23514 (a limit).';

CREATE VIEW rollbackd.drill_status AS
SELECT d.service, d.at, d.succeeded, d.succeeded_at, d.report FROM rollbackd.drill d;
COMMENT ON VIEW rollbackd.drill_status IS
        'The last drill of each service that ever had one, and when one last succeeded.';

-- In the last file of the version: whoever reads 2 finds all of it. A daemon built for schema 1
-- goes on.
CREATE OR REPLACE VIEW rollbackd.schema AS SELECT 2 AS version, 1 AS oldest_daemon;

GRANT EXECUTE ON FUNCTION rollbackd.drill_result(text, boolean, jsonb)
        TO rollbackd, rollbackd_operator;
GRANT SELECT ON rollbackd.drill_status TO rollbackd, rollbackd_operator, rollbackd_reader;
