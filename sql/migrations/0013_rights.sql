-- Who may do what. Tables: nobody but the owner. What is not named here is internal.

GRANT USAGE ON SCHEMA rollbackd
        TO rollbackd, rollbackd_deployer, rollbackd_operator, rollbackd_reader;

GRANT SELECT ON rollbackd.schema, rollbackd.service_status, rollbackd.history, rollbackd.candidate,
        rollbackd.operation_status, rollbackd.recent_event, rollbackd.delivery_status,
        rollbackd.observer_status
        TO rollbackd, rollbackd_operator, rollbackd_reader;
GRANT SELECT ON rollbackd.schema TO rollbackd_deployer;

GRANT EXECUTE ON FUNCTION
        rollbackd.active(text),
        rollbackd.version_for(text, text),
        rollbackd.generation_of(text, text)
        TO rollbackd, rollbackd_deployer, rollbackd_operator, rollbackd_reader;

GRANT EXECUTE ON FUNCTION
        rollbackd.register(text, text, boolean, text),
        rollbackd.deploy(text, text, int8, text, text, int8, int8, boolean, text, text, text, text,
                boolean, boolean, interval),
        rollbackd.deploy_done(text, int8)
        TO rollbackd_deployer, rollbackd_operator;

GRANT EXECUTE ON FUNCTION
        rollbackd.mark_stable(text, text, text),
        rollbackd.ban(text, text, text, timestamptz),
        rollbackd.unban(text, text, text),
        rollbackd.pin(text, interval, text, timestamptz),
        rollbackd.unpin(text),
        rollbackd.pause(text, interval, text, timestamptz),
        rollbackd.resume(text),
        rollbackd.ack(text, boolean, text),
        rollbackd.rollback(text, text, text),
        rollbackd.restore(text, text)
        TO rollbackd_operator;

GRANT EXECUTE ON FUNCTION
        rollbackd.load(text[], interval[], interval[]),
        rollbackd.commit_operation(uuid, text, text, text, int8, text, boolean, text, text, text,
                jsonb, interval, int, interval, text[], jsonb),
        rollbackd.atomic_result(uuid, int, text, text),
        rollbackd.adopt_operation(uuid, jsonb, text),
        rollbackd.move_operation(uuid, text, text, jsonb),
        rollbackd.claim_steps(uuid, text, interval),
        rollbackd.step_progress(uuid, int, jsonb, interval),
        rollbackd.step_result(uuid, int, text, text, interval),
        rollbackd.leftover_operations(text[]),
        rollbackd.record_event(text, text, uuid, text, jsonb, uuid),
        rollbackd.earn_stable(text, int8),
        rollbackd.put_subscribers(text, jsonb),
        rollbackd.claim_deliveries(int, interval),
        rollbackd.delivery_result(uuid, text, interval, text),
        rollbackd.next_delivery_in(),
        rollbackd.observer_seen(text, text, int)
        TO rollbackd;
