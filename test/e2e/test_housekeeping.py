"""The heartbeat, and a daemon on a ledger that is one schema behind, is migrated under way, or does not fit."""
import socket
import subprocess

import pytest
from ledger_support import SQL
from policies import STEPS
from proxy import HOLD, SWALLOW
from schema_one import LAST, administrator, put_schema_one
from waiting import stays
from world import SERVICE, run_ctl

BEHIND = "the ledger has schema 1, one behind: run rollbackctl db migrate"
DRILL = "rollbackd_drill_last_success_timestamp_seconds"


def say_schema(world, version, oldest):
    world.rows(f"CREATE OR REPLACE VIEW rollbackd.schema AS SELECT {version} AS version, {oldest} AS oldest_daemon")


def schema(world):
    return world.daemon.metric("rollbackd_ledger_schema")


def test_a_ledger_is_migrated_while_an_operation_is_open(world):
    put_schema_one(world)
    world.start(rollback={"verify": "5s"})
    assert schema(world) == 1 and f"\n{DRILL}{{" not in world.daemon.ask("/metrics").text
    world.wait(lambda: BEHIND in world.daemon.manager.status(), "the status to name the schema")
    assert BEHIND in world.ctl("status").stdout
    world.release_bad()
    world.wait_state("verifying")
    done = run_ctl("db", "migrate", "--directory", SQL, "--conninfo", administrator(world))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("applied ") == len(list((SQL / "migrations").glob("*.sql"))) - LAST
    world.wait_state("recovered")
    world.wait(lambda: schema(world) == 2, "the daemon to see the schema", 60)
    world.wait(lambda: BEHIND not in world.daemon.manager.status(), "the status without it")
    world.wait(lambda: f'{DRILL}{{service="{SERVICE}"}} 0' in world.daemon.ask("/metrics").text, "the time of no drill")
    assert world.daemon.starts == 1 and world.daemon.log().count(BEHIND) == 1
    assert world.daemon.log().count("the ledger has schema 2 now") == 1
    assert "the ledger answered" not in world.daemon.log(), "nothing broke on the way"
    # All that the daemon has prepared is used once more.
    world.call("mark_stable", SERVICE, "v1", "seen to run")
    world.release_bad("v3")
    world.wait_state("recovered", 2)


def test_a_heartbeat_is_seen_in_the_ledger_and_in_the_metrics(world):
    world.start()
    world.wait(lambda: world.daemon.metric("rollbackd_heartbeat_timestamp_seconds") > 0, "the first heartbeat")
    row = world.rows("SELECT name, schema, program_version, seen_at > now() - interval '1 minute', "
                     "extract(epoch FROM seen_at)::float8 FROM rollbackd.observer_status", user="app")
    assert [r[:2] for r in row] == [(socket.gethostname(), 2)] and row[0][3]
    first = world.daemon.metric("rollbackd_heartbeat_timestamp_seconds")
    assert abs(first - row[0][4]) < 30
    world.wait(lambda: world.daemon.metric("rollbackd_heartbeat_timestamp_seconds") > first, "the next heartbeat", 60)
    assert world.daemon.metric("rollbackd_retention_last_success_timestamp_seconds") == 0
    assert world.daemon.metric("rollbackd_policies_refused") == 0
    world.write_policy("nonsense", name="bad.conf")
    world.daemon.reload()
    assert world.daemon.metric("rollbackd_policies_refused") == 1
    page = world.daemon.ask("/metrics").text
    done = subprocess.run(["promtool", "check", "metrics"], input=page, text=True, capture_output=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_schema_that_has_given_us_up(world):
    world.start()
    world.wait(lambda: schema(world) == 2, "the schema")
    say_schema(world, 9, 8)
    words = "the ledger has schema 9, which takes daemons built for schema 8 or newer; this one is built for 2: " \
            "install the matching rollbackd"
    world.wait(lambda: words in world.daemon.manager.status(), "the daemon to say so", 60)
    world.wait_alert("ledger.unusable")
    assert world.daemon.metric("rollbackd_ledger_up") == schema(world) == 0
    # It goes on observing, and touches nothing.
    world.release_bad()
    world.wait_sampled(30)
    stays(lambda: world.active() == "v2" and world.operations() == [], "v2 active, and no operation")
    say_schema(world, 9, 2)
    world.wait_active("v1")
    world.wait_state("recovered")
    assert schema(world) == 9


@pytest.mark.parametrize("verdict", [HOLD, SWALLOW], ids=["not executed", "executed"])
def test_a_schema_that_does_not_fit_while_a_commit_is_in_doubt(world, verdict):
    world.start(rollback={"steps": STEPS})
    world.rows("INSERT INTO users VALUES (1, 'v2')")
    world.proxy.catch(lambda sql: sql.startswith("COMMIT"), verdict)
    world.release_bad()
    assert world.proxy.caught.wait(30)
    say_schema(world, 9, 8)
    world.proxy.drop()
    world.wait_alert("ledger.unusable")
    stays(lambda: world.active() == ("v2" if verdict == HOLD else "v1"), "the pointer where it was")
    assert world.service()["operation"]["state"] == "in_doubt"
    say_schema(world, 2, 1)
    world.wait_state("recovered")
    assert len(world.operations()) == 1 and world.changes() == [("v2", "v1")]
    assert world.value("SELECT version FROM users") == "v1"


def test_a_schema_that_is_too_old(world):
    say_schema(world, 0, 0)
    world.call("register", SERVICE, "v1", True, "known good")
    world.write_policy()
    world.daemon.start()
    words = "the ledger has schema 0, this rollbackd is built for 2: run rollbackctl db migrate"
    world.wait(lambda: words in world.daemon.manager.status(), "the daemon to say so")
    assert world.daemon.ask("/readyz").status == 503 and words in world.daemon.ask("/readyz?verbose").text
    say_schema(world, 2, 1)
    world.wait_known()
