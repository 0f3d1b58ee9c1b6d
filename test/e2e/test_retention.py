"""Retention: what prune() takes and what it leaves, and rollbackctl db prune."""
import json
import uuid

import pytest
from ledger_support import ledger, ledger_cluster, refused  # noqa: F401
from world import run_ctl

SERVICE = "users-api"
NOTHING = {"operations": 0, "steps": 0, "deliveries": 0, "events": 0}


def age(ledger, days):
    """Everything that is there happened so many days earlier."""
    with ledger.cluster.connect(ledger.database, autocommit=False) as connection:
        connection.execute("SET LOCAL session_replication_role = replica")
        for table, *columns in (("service", "released_at"), ("release", "at"), ("event", "at"),
                                ("operation", "opened_at", "closed_at"), ("step", "finished_at"),
                                ("delivery", "finished_at", "next_at")):
            for column in columns:
                connection.execute(f"UPDATE rollbackd.{table} SET {column} = {column} - %s::interval",
                                   (f"{days} days",))


def prune(ledger, older_than="400 days", user="rollbackd", **named):
    names = "".join(f", {name} => %s" for name in named)
    return dict(ledger.rows(f"SELECT * FROM rollbackd.prune(%s{names})", older_than, *named.values(), user=user))


def subscribe(ledger):
    ledger.call("put_subscribers", SERVICE, '[{"url": "http://hooks/"}]', user="rollbackd")


def deliver(ledger, state="done"):
    """Ends every delivery but those of the last event."""
    ledger.rows("UPDATE rollbackd.delivery SET state = %s, finished_at = clock_timestamp() "
                "WHERE event <> (SELECT id FROM rollbackd.event ORDER BY seq DESC LIMIT 1)", state)


def end_operation(ledger, operation, state="recovered"):
    for step in ("effecting", "verifying", state):
        ledger.call("move_operation", operation, step, user="rollbackd")


def roll_back(ledger, version="v2", epoch=2, automatic=True, steps="[]", end=True):
    operation = str(uuid.uuid4())
    assert ledger.commit(id=operation, expect_version=version, expect_epoch=epoch, automatic=automatic,
                         steps=steps)[0] == "committed"
    if end:
        end_operation(ledger, operation)
    return operation


def operations(ledger):
    return {str(row[0]) for row in ledger.rows("SELECT id FROM rollbackd.operation")}


def test_what_is_old_goes_and_what_is_young_stays(ledger):
    ledger.start()
    subscribe(ledger)
    roll_back(ledger, steps='[{"n": 0, "kind": "cache", "atomic": true}]')
    ledger.rows("UPDATE rollbackd.step SET state = 'done', finished_at = clock_timestamp()")
    ledger.call("deploy", SERVICE, "v3", user="ci")
    ledger.rows("UPDATE rollbackd.delivery SET state = 'done', finished_at = clock_timestamp()")
    old = ledger.value("SELECT max(seq) FROM rollbackd.event")
    deliveries = ledger.value("SELECT count(*) FROM rollbackd.delivery")
    age(ledger, 500)
    ledger.call("deploy", SERVICE, "v4", user="ci")
    ledger.call("pause", SERVICE, "1 hour", "x")
    history = ledger.rows("SELECT epoch, version, kind FROM rollbackd.history ORDER BY epoch")
    expected = {"operations": 1, "steps": 1, "deliveries": deliveries, "events": old - 0}
    events = ledger.value("SELECT count(*) FROM rollbackd.event WHERE seq <= %s", old)
    expected["events"] = events
    assert deliveries >= 2 and events >= 5
    assert prune(ledger, "501 days") == NOTHING
    assert prune(ledger, dry_run=True) == expected
    assert prune(ledger, dry_run=True) == expected, "a dry run takes nothing"
    assert prune(ledger) == expected
    assert prune(ledger) == prune(ledger, dry_run=True) == NOTHING
    assert ledger.value("SELECT min(seq) FROM rollbackd.event") == old + 1
    assert ledger.kinds()[-1] == "service.paused"
    assert ledger.rows("SELECT epoch, version, kind FROM rollbackd.history ORDER BY epoch") == history


def test_the_events_of_the_current_release_stay(ledger):
    ledger.start()
    ledger.call("register", "other", "v1")
    ledger.rows("SELECT rollbackd.record_event(NULL, 'daemon.started', NULL, 'rollbackd', '{}')", user="rollbackd")
    ledger.call("pause", SERVICE, "1 hour", "x")
    before = ledger.kinds()
    age(ledger, 500)
    # Of the service only what came before its present release; of no service whatever is old.
    assert prune(ledger) == {**NOTHING, "events": 2}
    assert ledger.kinds() == before[1:] and before[0] == "release.registered"
    assert ledger.kinds("other") == ["release.registered"]


@pytest.mark.parametrize("state", ["done", "dead"])
def test_a_pending_delivery_keeps_its_event(ledger, state):
    ledger.start()
    subscribe(ledger)
    for version in ("v3", "v4"):
        ledger.call("deploy", SERVICE, version, user="ci")
    pending = ledger.value("SELECT event FROM rollbackd.delivery ORDER BY seq LIMIT 1")
    ledger.rows("UPDATE rollbackd.delivery SET state = %s, finished_at = clock_timestamp() WHERE event <> %s",
                state, pending)
    age(ledger, 500)
    ledger.call("deploy", SERVICE, "v5", user="ci")
    gone = prune(ledger)
    assert gone["deliveries"] == ledger.value("SELECT count(*) FROM rollbackd.delivery") - 1 == 1 and gone["events"] >= 2
    assert ledger.value("SELECT count(*) FROM rollbackd.event WHERE id = %s", pending) == 1
    # A delivery that ended lately is no older than its end.
    ledger.rows("UPDATE rollbackd.delivery SET state = 'done', finished_at = clock_timestamp() WHERE event = %s", pending)
    assert prune(ledger) == NOTHING
    age(ledger, 500)
    assert prune(ledger)["deliveries"] == 1
    assert ledger.value("SELECT count(*) FROM rollbackd.event WHERE id = %s", pending) == 0


def test_open_operations_and_what_led_to_them_stay(ledger):
    ledger.start()
    first = roll_back(ledger)
    second = ledger.call("restore", SERVICE, "a false alarm")
    third = ledger.call("rollback", SERVICE, "no, it was not", "v1")
    before = ledger.kinds()
    age(ledger, 500)
    ledger.rows("UPDATE rollbackd.service SET released_at = clock_timestamp()")
    assert operations(ledger) == {first, str(second), str(third)}
    gone = prune(ledger)
    assert gone == {**NOTHING, "events": 2}, "only the releases before all of them"
    assert operations(ledger) == {first, str(second), str(third)}
    assert ledger.kinds() == before[2:]
    # Closed, it is what made the present epoch; after the next deploy nothing holds any of them.
    end_operation(ledger, third)
    age(ledger, 500)
    assert prune(ledger)["operations"] == 0
    ledger.call("deploy", SERVICE, "v3", user="ci")
    assert prune(ledger)["operations"] == 3
    assert operations(ledger) == set()


def test_an_operation_with_unfinished_steps_stays(ledger):
    ledger.start()
    operation = roll_back(ledger, steps='[{"n": 0, "kind": "cache"}, {"n": 1, "kind": "cache"}]')
    ledger.rows("UPDATE rollbackd.step SET state = 'failed', finished_at = clock_timestamp() WHERE n = 0")
    ledger.call("deploy", SERVICE, "v3", user="ci")
    age(ledger, 500)
    ledger.call("deploy", SERVICE, "v4", user="ci")
    assert prune(ledger)["operations"] == 0
    assert ledger.value("SELECT count(*) FROM rollbackd.event WHERE operation = %s", operation) >= 3
    ledger.rows("UPDATE rollbackd.step SET state = 'done', finished_at = clock_timestamp() WHERE n = 1")
    gone = prune(ledger)
    assert (gone["operations"], gone["steps"]) == (1, 2) and gone["events"] >= 3


def test_automatic_operations_stay_for_the_budget(ledger):
    ledger.start()
    automatic = roll_back(ledger)
    ledger.call("deploy", SERVICE, "v3", user="ci")
    by_hand = roll_back(ledger, "v3", 4, automatic=False)
    ledger.call("deploy", SERVICE, "v4", user="ci")
    age(ledger, 365)
    ledger.call("deploy", SERVICE, "v5", user="ci")
    assert operations(ledger) == {automatic, by_hand}
    assert prune(ledger, "30 days")["operations"] == 1
    assert operations(ledger) == {automatic}
    assert ledger.load(budget_per="366 days")["budget_used"] == 1
    age(ledger, 2)
    assert prune(ledger, "30 days")["operations"] == 1


def test_batches_are_bounded(ledger):
    ledger.rows("INSERT INTO rollbackd.event (id, at, kind, actor, fields) SELECT gen_random_uuid(), "
                "now() - interval '500 days' - g * interval '1 hour', 'test', 'x', '{}' FROM generate_series(1, 25) g")
    assert [prune(ledger, most=10)["events"] for _ in range(4)] == [10, 10, 5, 0]
    ledger.start()
    steps = json.dumps([{"n": n, "kind": "cache"} for n in range(20)])
    for i in range(3):
        roll_back(ledger, f"v{i + 2}", 2 + 2 * i, automatic=False, steps=steps)
        ledger.rows("UPDATE rollbackd.step SET state = 'done', finished_at = clock_timestamp()")
        ledger.call("deploy", SERVICE, f"v{i + 3}", user="ci")
    age(ledger, 500)
    # The steps of one operation go with it, however small the batch.
    assert [(gone["operations"], gone["steps"], gone["events"]) for gone in (prune(ledger, most=2) for _ in range(4))
            ][:3] == [(1, 20, 0)] * 3


def test_what_somebody_holds_is_left_for_another_day(ledger):
    ledger.start()
    subscribe(ledger)
    ledger.call("deploy", SERVICE, "v3", user="ci")
    ledger.rows("UPDATE rollbackd.delivery SET state = 'done', finished_at = clock_timestamp()")
    age(ledger, 500)
    ledger.call("deploy", SERVICE, "v4", user="ci")
    holder = ledger.connect("postgres", autocommit=False)
    holder.execute("SELECT FROM rollbackd.delivery WHERE state = 'done' FOR UPDATE")
    assert prune(ledger)["deliveries"] == 0
    holder.rollback()
    assert prune(ledger)["deliveries"] == 1


def test_events_stay_append_only(ledger):
    ledger.start()
    ledger.call("deploy", SERVICE, "v3", user="ci")
    owner = ledger.connect("postgres")
    owner.execute("SET ROLE rollbackd_owner")
    for statement in ("UPDATE rollbackd.event SET actor = 'x'", "UPDATE rollbackd.event SET actor = 'x' WHERE false",
                      "TRUNCATE rollbackd.event CASCADE", "DELETE FROM rollbackd.event"):
        refused("RB007", owner.execute, statement)
        refused("RB007", ledger.rows, statement)
    age(ledger, 29)
    refused("RB007", owner.execute, "DELETE FROM rollbackd.event")
    age(ledger, 2)
    owner.execute("DELETE FROM rollbackd.event WHERE seq = (SELECT min(seq) FROM rollbackd.event)")
    ledger.call("pause", SERVICE, "1 hour", "x")
    error = refused("RB007", owner.execute, "DELETE FROM rollbackd.event")
    assert "younger than 30 days" in str(error)


@pytest.mark.parametrize("older_than, most", [
    ("29 days", 1000), ("0", 1000), ("-1 day", 1000), (None, 1000), ("400 days", 0), ("400 days", 10001), ("400 days", None)])
def test_wrong_arguments(ledger, older_than, most):
    refused("RB005", prune, ledger, older_than, most=most)
    assert prune(ledger, "178000000 years", most=1) == NOTHING


def test_results_of_drills(ledger):
    def status():
        return ledger.rows("SELECT succeeded, succeeded_at = at, succeeded_at IS NULL, report FROM rollbackd.drill_status",
                           user="app")
    ledger.start()
    refused("RB001", ledger.call, "drill_result", "nobody", True, "{}")
    refused("RB005", ledger.call, "drill_result", SERVICE, None, "{}")
    refused("23514", ledger.call, "drill_result", SERVICE, True, '{"x": "%s"}' % ("y" * 65536))
    assert status() == []
    ledger.call("drill_result", SERVICE, False, '{"n": 1}')
    assert status() == [(False, None, True, {"n": 1})]
    ledger.call("drill_result", SERVICE, True, '{"n": 2}', user="rollbackd")
    assert status() == [(True, True, False, {"n": 2})]
    ledger.call("drill_result", SERVICE, False, '{"n": 3}')
    assert status() == [(False, False, False, {"n": 3})]
    assert ledger.rows("SELECT kind, actor FROM rollbackd.recent_event WHERE kind LIKE 'drill.%%' ORDER BY seq") == [
        ("drill.failed", "alice"), ("drill.succeeded", "rollbackd"), ("drill.failed", "alice")]


def test_a_result_is_kept_while_somebody_holds_the_service(ledger):
    ledger.start()
    with ledger.connect("postgres", autocommit=False) as holder:
        holder.execute("UPDATE rollbackd.service SET automatic = automatic")
        ledger.as_role("rollbackd").execute("SET statement_timeout = '5s'")
        for good in (True, False):
            ledger.call("drill_result", SERVICE, good, "{}", user="rollbackd")
        holder.rollback()
    assert ledger.rows("SELECT succeeded, succeeded_at IS NULL FROM rollbackd.drill_status") == [(False, False)]


def ctl_prune(ledger, *words, user="rollbackd"):
    return run_ctl("db", "prune", *words, "--conninfo",
                   f"host={ledger.cluster.root} dbname={ledger.database} user={user}")


def test_rollbackctl_db_prune(ledger, tmp_path):
    ledger.rows("INSERT INTO rollbackd.event (id, at, kind, actor, fields) SELECT gen_random_uuid(), "
                "now() - interval '500 days', 'test', 'x', '{}' FROM generate_series(1, 2500) g")
    conf = tmp_path / "rollbackd.conf"
    conf.write_text('retention = "600d";\n')
    conf.chmod(0o644)
    assert ctl_prune(ledger, "--config", conf).stdout.splitlines() == [
        "older than 600d, gone:", *(f"         0 {kind}" for kind in ("events", "deliveries", "operations", "steps"))]
    done = ctl_prune(ledger, "--older-than", "400d", "--dry-run")
    assert (done.returncode, done.stdout.splitlines()[:2]) == (0, ["older than 400d, would go:", "      2500 events"])
    document = json.loads(ctl_prune(ledger, "--older-than", "400d", "--json").stdout)
    assert document == {"api_version": 1, "older_than": "400d", "dry_run": False, "events": 2500, "deliveries": 0,
                        "operations": 0, "steps": 0}
    assert ledger.value("SELECT count(*) FROM rollbackd.event") == 0
    done = ctl_prune(ledger, "--older-than", "29d")
    assert done.returncode == 4 and "less than 30 days" in done.stderr and done.stdout == ""
    done = ctl_prune(ledger, "--older-than", "400d", user="alice")
    assert done.returncode == 7 and "runuser -u rollbackd -- rollbackctl db prune" in done.stderr
    assert ctl_prune(ledger, "--older-than", "400").returncode == 2
