"""The steps of a rollback in PostgreSQL: what they touch, what they leave, and what happens when they fail."""
import copy

import psycopg
import pytest
from policies import STEPS
from waiting import stays
from world import SERVICE

pytestmark = pytest.mark.sanitize

CACHE = ["us_r%:1", "us_r%:2", "us_r%", "us_r%s:1", "usxr%:1", "us_rx:1", "us_r:1", "other:1"]


def fill(world):
    world.rows("INSERT INTO users VALUES (1, 'v2'), (2, 'v1'), (3, 'v0')")
    for key in CACHE:
        world.rows("INSERT INTO cache VALUES (%s, 'v2')", key)
    world.rows("INSERT INTO session VALUES (1, 'v2', now() - interval '1 hour'), (2, 'v1', now() + interval '1 hour')")


def changed(n, **changes):
    """The steps with one of them changed."""
    steps = copy.deepcopy(STEPS)
    steps[n].update(changes)
    return steps


def test_all_steps_do_what_they_say_and_no_more(world):
    world.start(rollback={"steps": STEPS})
    fill(world)
    generation = world.value("SELECT rollbackd.generation_of(%s, 'user')", SERVICE)
    world.deploy("v2")
    world.rows("INSERT INTO session VALUES (3, 'v2'), (4, 'v1')")
    world.application.failing["v2"] = 0.3
    operation = world.wait_state("recovered")
    assert [(s["kind"], s["atomic"], s["state"]) for s in operation["steps"]] == [
        ("sql", True, "done"), ("sql", False, "done"), ("cache", False, "done"), ("session", False, "done"),
        ("cache", False, "done")]
    assert world.rows("SELECT version FROM users ORDER BY id") == [("v1",), ("v1",), ("v0",)]
    assert sorted(row[0] for row in world.rows("SELECT key FROM cache")) == sorted(set(CACHE) - {"us_r%:1", "us_r%:2", "us_r%"})
    assert [row[0] for row in world.rows("SELECT id FROM session ORDER BY id")] == [1, 2, 4]
    assert world.rows("SELECT text FROM note") == [("::not :fromv2>v1",)]
    assert world.value("SELECT rollbackd.generation_of(%s, 'user')", SERVICE) == generation + 1


def test_what_the_bad_version_still_writes_is_cleared_a_second_time(world):
    world.start(rollback={"steps": STEPS[2:3], "settle": "2s"})
    world.release_bad()
    world.wait_active("v1")
    world.wait(lambda: world.operations()[0]["steps"][0]["state"] == "done", "the first clearing")
    world.rows("INSERT INTO cache VALUES ('us_r%:late', 'v2')")
    world.wait_state("recovered")
    assert world.value("SELECT count(*) FROM cache") == 0


def test_many_rows_go_in_batches(world):
    world.start(rollback={"steps": changed(2, batch=100)[2:3]})
    world.rows("INSERT INTO cache SELECT 'us_r%:' || n, 'v2' FROM generate_series(1, 950) n")
    world.rows("INSERT INTO cache SELECT 'other:' || n, 'v2' FROM generate_series(1, 50) n")
    world.release_bad()
    operation = world.wait_state("recovered")
    assert world.value("SELECT count(*) FROM cache") == 50
    assert operation["steps"][0]["progress"]["deleted"] >= 900


def test_an_atomic_step_that_fails_is_recorded_and_the_pointer_moves(world):
    world.start(rollback={"steps": changed(0, statement="UPDATE users SET version = :to WHERE 1 / (length(:from) - 2) = 1")})
    fill(world)
    world.release_bad()
    operation = world.wait_state("recovered")
    assert operation["steps"][0]["state"] == "failed" and "division by zero" in operation["steps"][0]["words"]
    assert operation["steps"][1]["state"] == "done"
    assert world.rows("SELECT version FROM users ORDER BY id") == [("v2",), ("v1",), ("v0",)]


def test_an_atomic_step_that_must_not_fail_keeps_the_pointer(world):
    world.start(rollback={"steps": changed(0, on_error="abort", statement="UPDATE users SET version = :to WHERE 1 / (length(:from) - 2) = 1")})
    fill(world)
    world.release_bad()
    notice = world.wait_alert("rollback.failed")
    assert "division by zero" in notice.data["text"] and "division by zero" in notice.data["detail"]
    assert (notice.data["from"], notice.data["to"]) == ("v2", "v1")
    # It never became an operation, and is explained all the same.
    told = world.wait_notice("rollback.failed")
    assert told.data["text"] == notice.data["text"]
    key = world.value("SELECT id FROM rollbackd.event WHERE kind = 'rollback.failed'")
    done = world.ctl("explain", key)
    assert done.returncode == 0 and "division by zero" in done.stdout and "rule errors" in done.stdout, done
    stays(lambda: world.active() == "v2", "v2 active", 0.5)
    assert world.changes() == [] and world.operations() == []
    assert world.rows("SELECT version FROM users ORDER BY id") == [("v2",), ("v1",), ("v0",)]


def test_what_failed_waits_for_a_person_also_over_a_restart(world):
    failing = changed(0, on_error="abort", statement="UPDATE users SET version = :to WHERE 1 / (length(:from) - 2) = 1")
    world.start(rollback={"steps": failing})
    world.release_bad()
    world.wait(lambda: world.events("rollback.failed"), "the attempt to be given up")
    told = len(world.receiver.find("rollback.failed", "/oncall"))
    world.daemon.kill()
    world.restart()
    again = world.wait(lambda: world.receiver.find("rollback.failed", "/oncall")[told:], "it to be told again")[0]
    assert (again.data["from"], again.data["to"]) == ("v2", "v1") and "division by zero" in again.data["detail"]
    world.wait(lambda: world.service()["health"] == "bad", "the rule to fire")
    stays(lambda: len(world.events("rollback.failed")) == 1, "no other attempt", 1.5)
    world.call("resume", SERVICE)
    world.wait(lambda: len(world.events("rollback.failed")) == 2, "the attempt after a person's word")
    world.daemon.kill()
    # Another policy is another chance.
    world.write_policy(world.policy(rollback={"steps": []}))
    world.restart()
    world.wait_active("v1")
    assert len(world.events("rollback.failed")) == 2


def test_a_step_without_its_right_fails_alone_and_says_so(world):
    world.start(rollback={"steps": changed(1, statement="DELETE FROM users")})
    fill(world)
    world.release_bad()
    operation = world.wait_state("recovered")
    assert [s["state"] for s in operation["steps"]] == ["done", "failed", "done", "done", "done"]
    assert "permission denied for table users" in operation["steps"][1]["words"]
    assert "permission denied for table users" in world.wait_alert("step.failed").data["error"]
    assert world.value("SELECT count(*) FROM users") == 3


def test_a_locked_cache_row_waits_and_does_not_hold_the_pointer(world):
    world.start(rollback={"steps": STEPS})
    fill(world)
    blocker = world.connect(autocommit=False)
    blocker.execute("SELECT FROM cache WHERE key = 'us_r%:1' FOR UPDATE")
    world.release_bad()
    world.wait_active("v1")
    world.wait(lambda: world.value("SELECT count(*) FROM cache WHERE key = 'us_r%:2'") == 0 or
               world.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"),
               "the step to meet the lock")
    assert world.value("SELECT count(*) FROM cache WHERE key = 'us_r%:1'") == 1
    blocker.rollback()
    world.wait_state("recovered")
    assert world.value("SELECT count(*) FROM cache WHERE key LIKE 'us\\_r\\%:%'") == 0


def test_a_locked_users_row_in_the_transaction_is_waited_for_in_bounds(world):
    world.start(rollback={"steps": STEPS[:1]})
    fill(world)
    blocker = world.connect(autocommit=False)
    blocker.execute("SELECT FROM users WHERE id = 1 FOR UPDATE")
    world.release_bad()
    operation = world.wait_state("recovered")
    assert operation["steps"][0]["state"] == "failed" and world.active() == "v1"
    blocker.rollback()
    assert world.value("SELECT version FROM users WHERE id = 1") == "v2"


def test_the_daemon_alone_cannot_touch_the_users(world):
    world.start()
    connection = world.connect("rollbackd")
    for statement in ("SELECT * FROM users", "UPDATE users SET version = 'x'", "DELETE FROM session", "SELECT * FROM cache",
                      "UPDATE rollbackd.service SET active = 'x'", "SELECT * FROM rollbackd.subscriber"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)
