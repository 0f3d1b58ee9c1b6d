"""SIGTERM in the middle of something: what is under way in the world ends, nothing new begins, and the rest goes on at
the next start."""
import copy
import os
import signal

import pytest
from policies import STEPS
from proxy import PASS, SWALLOW
from waiting import wait_until
from world import SERVICE

# A statement that ends when the test says so, and steps that say what they did, so that doing it twice is seen.
WAITING = """
CREATE TABLE go (name text NOT NULL);
GRANT SELECT ON go TO site_rollback;
CREATE FUNCTION wait_for(what text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
        WHILE NOT EXISTS (SELECT FROM go WHERE name = what) LOOP
                PERFORM pg_sleep(0.02);
        END LOOP;
        RETURN true;
END
$$;
"""
ATOMIC = dict(STEPS[0], statement="UPDATE users SET version = version || '-' || :to WHERE version = :from AND wait_for('atomic')")
SLOW = dict(STEPS[1], timeout="5m", statement="INSERT INTO note (text) SELECT :to WHERE wait_for('slow')")
EXTEND = "EXTEND_TIMEOUT_USEC=15000000"


def start(world, steps, **changes):
    world.rows(WAITING)
    world.rows("INSERT INTO users VALUES (1, 'v2')")
    world.start(rollback={"steps": copy.deepcopy(steps), **changes})


def let_go(world, name):
    world.rows("INSERT INTO go VALUES (%s)", name)


def since(world, mark):
    """What the service manager was told since, without the watchdog's pings."""
    return [m for m in world.daemon.manager.messages[mark:] if m != "WATCHDOG=1"]


def stop_within(world, words):
    """SIGTERM with something under way. Returns where the messages of the end begin."""
    daemon = world.daemon
    mark = len(daemon.manager.messages)
    daemon.expected = False
    daemon.signal(signal.SIGTERM)
    wait_until(lambda: words in daemon.manager.status() and EXTEND in since(world, mark),
               lambda: f"STATUS= with {words!r}: {since(world, mark)}; {daemon.log()[-3000:]}")
    told = since(world, mark)
    assert told.index("STOPPING=1") < told.index(f"STATUS={daemon.manager.status()}")
    assert daemon.manager.status().startswith("stopping: ") and told.count("STOPPING=1") == 1
    return mark


def assert_only_reads(world):
    daemon = world.daemon
    assert daemon.ask("/livez").status == 200
    assert daemon.get("/api/v1/services")["status"] == daemon.manager.status()
    for verb in ("rollback", "restore"):
        answer = daemon.ask(f"/api/v1/services/{SERVICE}/{verb}", "POST", {"reason": "now"})
        assert answer.status == 503 and "stopping" in answer.json["detail"], answer.text


def assert_ended(world, seconds=30):
    assert world.daemon.process.wait(seconds) == 0, world.daemon.log()[-3000:]
    assert "rollbackd has stopped" in world.daemon.log()


def assert_once(world, users="v2-v1", notes=("v1",)):
    """After the next start everything was done, once."""
    world.restart()
    world.wait_state("recovered")
    assert world.active() == "v1" and world.changes() == [("v2", "v1")]
    assert world.value("SELECT version FROM users") == users
    assert tuple(row[0] for row in world.rows("SELECT text FROM note")) == notes


@pytest.mark.sanitize
def test_with_nothing_under_way_it_ends_at_once(world):
    start(world, [])
    mark = len(world.daemon.manager.messages)
    assert world.daemon.stop() == 0
    wait_until(lambda: since(world, mark) == ["STOPPING=1"], lambda: f"STOPPING=1 alone: {since(world, mark)}")
    world.restart()


@pytest.mark.sanitize
def test_a_commit_with_a_slow_statement_is_answered_first(world):
    start(world, [ATOMIC, STEPS[1]])
    world.release_bad()
    world.wait(lambda: world.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"), "the statement")
    stop_within(world, f"the commit of {SERVICE} v2 -> v1 is being answered")
    assert_only_reads(world)
    assert world.active() == "v2"
    let_go(world, "atomic")
    assert_ended(world)
    # The commit was answered, and told; its steps were not begun.
    assert world.active() == "v1" and world.operations()[0]["state"] == "committed"
    assert world.value("SELECT count(*) FROM note") == 0
    world.wait_alert("rollback.committed")
    assert_once(world, notes=("::not :fromv2>v1",))


def test_a_slow_step_ends_and_is_told_and_more_time_is_asked_for(world):
    start(world, [SLOW, dict(STEPS[1], statement="INSERT INTO note (text) VALUES ('second')")])
    world.release_bad()
    world.wait(lambda: world.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"), "the statement")
    mark = stop_within(world, f"step 1 (sql) of {SERVICE} runs")
    assert_only_reads(world)
    wait_until(lambda: since(world, mark).count(EXTEND) >= 2, "more time to be asked for again")
    let_go(world, "slow")
    assert_ended(world)
    assert [s["state"] for s in world.operations()[0]["steps"]] == ["done", "pending"]
    pings = world.daemon.manager.messages[mark:].count("WATCHDOG=1")
    assert pings >= 3, f"{pings} pings while stopping"
    assert_once(world, users="v2", notes=("v1", "second"))


def test_batches_stop_between_two_and_what_was_done_is_kept(world):
    rows = 12000
    start(world, [dict(STEPS[2], batch=50)], settle="10ms")
    world.rows("INSERT INTO cache SELECT 'us_r%%:' || n, 'v2' FROM generate_series(1, %s) n", rows)
    world.release_bad()
    world.wait(lambda: world.value("SELECT count(*) FROM cache") < rows - 500, "some batches")
    assert world.daemon.stop() == 0
    left = world.value("SELECT count(*) FROM cache")
    assert 0 < left < rows - 500
    step = world.operations()[0]["steps"][0]
    assert step["state"] == "pending" and step["progress"]["deleted"] == rows - left
    assert_once(world, users="v2", notes=())
    assert world.value("SELECT count(*) FROM cache") == 0
    assert world.operations()[0]["steps"][0]["progress"]["deleted"] >= rows - 50


def test_a_notice_that_hangs_is_waited_for_and_not_sent_twice(world):
    start(world, [])
    world.receiver.flowing.clear()
    world.deploy("v2")
    world.wait_notice("release.deployed")
    stop_within(world, "being posted")
    assert_only_reads(world)
    world.receiver.flowing.set()
    assert_ended(world)
    assert world.value("SELECT count(*) FROM rollbackd.delivery WHERE state <> 'done'") == 0
    world.restart()
    world.deploy("v3")
    world.wait(lambda: len(world.receiver.find("release.deployed", "/notify")) >= 2, "the next notice")
    notices = world.receiver.find("release.deployed", "/notify")
    assert len(notices) == 2 and notices[0].id != notices[1].id


def test_a_commit_in_doubt_is_asked_for_first(world):
    start(world, [dict(ATOMIC, statement=ATOMIC["statement"].split(" AND wait")[0])])
    world.proxy.catch(lambda sql: sql.startswith("COMMIT"), SWALLOW)
    world.release_bad()
    assert world.proxy.caught.wait(30)
    stop_within(world, f"the commit of {SERVICE} v2 -> v1 is being answered")
    world.proxy.hook = None
    world.proxy.drop()
    assert_ended(world)
    assert "asking again" in world.daemon.log()
    world.wait_alert("rollback.committed")
    assert_once(world, notes=())


@pytest.mark.parametrize("cut", [True, False], ids=["in doubt", "write"])
def test_a_ledger_that_is_gone_is_not_waited_for(world, cut):
    start(world, [dict(ATOMIC, statement=ATOMIC["statement"].split(" AND wait")[0])])
    world.proxy.catch(lambda sql: sql == "COMMIT" if cut else sql.startswith("SELECT rollbackd.move_operation("), SWALLOW)
    world.release_bad()
    assert world.proxy.caught.wait(30)
    stop_within(world, "is being answered" if cut else "the ledger has yet to answer")
    world.proxy.cut()
    if cut:
        wait_until(lambda: "is in doubt and asked for; ledger unreachable: " in world.daemon.manager.status(),
                   lambda: f"STATUS= of the doubt: {world.daemon.manager.status()}")
    assert_ended(world)
    world.proxy.hook = None
    world.proxy.open()
    assert_once(world, notes=())


def test_a_backend_that_stands_still_is_given_up_and_asked_again(world):
    start(world, [])
    backend = world.value("SELECT pid FROM pg_stat_activity WHERE application_name = 'rollbackd' AND datname = current_database()")

    def hook(_, sql):
        if "rollbackd.commit_operation(" in sql and not sql.startswith("PREPARE"):
            world.proxy.hook = None
            os.kill(backend, signal.SIGSTOP)
            world.proxy.caught.set()
        return PASS
    world.proxy.hook = hook
    try:
        world.release_bad()
        assert world.proxy.caught.wait(30)
        stop_within(world, f"the commit of {SERVICE} v2 -> v1 is being answered")
        assert_ended(world, 60)
        assert world.active() == "v1"
    finally:
        os.kill(backend, signal.SIGCONT)
    # What it had been sent, it does now: nothing.
    wait_until(lambda: not world.rows("SELECT 1 FROM pg_stat_activity WHERE pid = %s", backend), "the backend to end")
    assert_once(world, users="v2", notes=())


@pytest.mark.sanitize
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(world, second):
    start(world, [SLOW])
    world.release_bad()
    world.wait(lambda: world.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"), "the statement")
    stop_within(world, f"step 1 (sql) of {SERVICE} runs")
    world.daemon.signal(signal.SIGHUP)
    wait_until(lambda: "read again at the next start" in world.daemon.log(), "the reload to be put off")
    world.daemon.signal(second)
    assert_ended(world)
    assert "is not waited for" in world.daemon.log()
    assert world.operations()[0]["steps"][0]["state"] == "pending"
    let_go(world, "slow")
    assert_once(world, users="v2", notes=("v1",))
