"""What rollbackd promises, asserted after every end-to-end test."""
import re

from waiting import wait_until

WITNESS = """
CREATE SCHEMA witness;
CREATE TABLE witness.pointer (n int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY, service text NOT NULL,
        old_version text, new_version text NOT NULL, old_epoch int8, new_epoch int8 NOT NULL, by text NOT NULL);
CREATE FUNCTION witness.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
        IF TG_OP = 'INSERT' THEN
                INSERT INTO witness.pointer (service, new_version, new_epoch, by)
                VALUES (NEW.name, NEW.active, NEW.epoch, session_user);
        ELSIF (NEW.active, NEW.epoch) IS DISTINCT FROM (OLD.active, OLD.epoch) THEN
                INSERT INTO witness.pointer (service, old_version, new_version, old_epoch, new_epoch, by)
                VALUES (NEW.name, OLD.active, NEW.active, OLD.epoch, NEW.epoch, session_user);
        END IF;
        RETURN NULL;
END
$$;
CREATE TRIGGER witness AFTER INSERT OR UPDATE ON rollbackd.service FOR EACH ROW EXECUTE FUNCTION witness.note();
"""

OPEN = ("committed", "effecting", "verifying")
DESCRIPTORS_ABOVE_BASE = 8
MEMORY_ABOVE_BASE = 16 * 1024 * 1024
LONGEST_TURN = 0.050


def watch_pointer(administrator):
    """The tests' own count of pointer changes, which rollbackd knows nothing of."""
    administrator.execute(WITNESS)


def assert_pointer(world):
    """At most one automatic rollback per incident, only from a person's deploy; an unbroken chain."""
    moves = world.rows("SELECT service, old_version, new_version, old_epoch, new_epoch, by FROM witness.pointer ORDER BY n")
    operations = {(o["service"], o["from_epoch"]): o for o in world.operations()}
    at, made_by, taken_back = {}, {}, set()
    for service, old_version, new_version, old_epoch, new_epoch, by in moves:
        assert at.get(service, (None, None)) == (old_version, old_epoch), moves
        assert old_epoch is None or new_epoch == old_epoch + 1, moves
        at[service] = new_version, new_epoch
        made_by[service, new_epoch] = by
        if by != "rollbackd":
            continue
        operation = operations.get((service, old_epoch))
        assert operation, f"the pointer moved at epoch {old_epoch} without an operation: {moves}"
        assert (operation["from_version"], operation["to_version"]) == (old_version, new_version)
        assert operation["to_epoch"] == new_epoch
        if old_epoch in world.manual:
            continue
        assert operation["automatic"] and (service, old_epoch) not in taken_back, moves
        assert made_by[service, old_epoch] != "rollbackd", f"rollbackd took back its own act: {moves}"
        taken_back.add((service, old_epoch))
    assert at == {row[0]: row[1:] for row in world.rows("SELECT name, active, epoch FROM rollbackd.service")}


def assert_operations(world):
    """Every operation is closed, and has done its steps; each moved the pointer exactly once."""
    if not world.open_allowed:
        wait_until(lambda: not [o for o in world.operations_now() if o[1] in OPEN],
                   lambda: f"every operation to close: {world.describe()}")
    for operation in world.operations():
        pending = [s for s in operation["steps"] if s["state"] == "pending"]
        assert not pending or operation["state"] in (*OPEN, "superseded"), operation
        assert world.value("SELECT count(*) FROM witness.pointer WHERE service = %s AND old_epoch = %s AND new_version = %s",
                           operation["service"], operation["from_epoch"], operation["to_version"]) == 1


def assert_secrets_kept(world):
    daemon = world.daemon
    outputs = {"log": daemon.log(), "arguments": open(f"/proc/{daemon.process.pid}/cmdline").read()}
    paths = ["/metrics", "/readyz?verbose", "/api/v1/services", "/api/v1/operations", "/api/v1/events"]
    for service in daemon.get("/api/v1/services")["services"]:
        paths += [f"/api/v1/services/{service['service']}{end}" for end in ("", "/explain")]
    outputs.update((path, daemon.ask(path).text) for path in paths)
    outputs["events"] = str(world.rows("SELECT fields FROM rollbackd.event"))
    for name, secret in world.secrets.items():
        for place, text in outputs.items():
            assert secret not in text and secret.removeprefix("whsec_") not in text, f"secret {name} in {place}"


def assert_limits(world, sanitized, seconds=30):
    daemon = world.daemon
    if daemon.metric("rollbackd_ledger_up") and world.base:
        wait_until(lambda: daemon.metric("process_open_fds") <= world.base["process_open_fds"] + DESCRIPTORS_ABOVE_BASE,
                   lambda: f"descriptors to be back: {daemon.metric('process_open_fds')}, base {world.base}", seconds)
    if sanitized:
        return
    if world.base:
        assert daemon.metric("process_resident_memory_bytes") <= world.base["process_resident_memory_bytes"] + MEMORY_ABOVE_BASE
    assert daemon.metric("rollbackd_loop_longest_turn_seconds") <= LONGEST_TURN


def assert_promises(world, sanitized):
    daemon = world.daemon
    assert not daemon.unanswered, f"/livez: {daemon.unanswered}"
    assert not re.search(r"ERROR: (Address|Leak)Sanitizer|runtime error:", daemon.log()), daemon.log()[-8000:]
    assert_pointer(world)
    if daemon.process.poll() is None:
        assert_operations(world)
        assert_pointer(world)
        assert_limits(world, sanitized)
        assert_secrets_kept(world)
        assert daemon.stop() == 0, daemon.log()[-4000:]
        wait_until(lambda: daemon.manager.count("STOPPING=1") >= 1, "STOPPING=1")
        assert "rollbackd has stopped" in daemon.log()
