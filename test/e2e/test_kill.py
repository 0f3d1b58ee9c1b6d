"""Killed at any instant, rollbackd resumes and finishes; nothing is done twice."""
import concurrent.futures
import copy

import pytest
from policies import STEPS
from proxy import HOLD, SWALLOW
from world import SERVICE, World

# The requests of a rollback between which it is killed: every one of the transaction that moves the pointer, and of the
# steps and the closing those that change something. The rest goes on beside it, or begins what is then killed anyway.
TRANSACTION = ("BEGIN", "rollbackd.commit_operation", "SET CONSTRAINTS", "SAVEPOINT", "SET LOCAL ROLE", "UPDATE users",
               "RESET ROLE", "rollbackd.atomic_result", "COMMIT")
AFTERWARDS = ("INSERT INTO note", "WITH gone", "WITH picked", "COMMIT", "rollbackd.step_result", "rollbackd.move_operation")
# The steps of the kill tests say what they did, so that doing it twice is seen.
KILL_STEPS = copy.deepcopy(STEPS)
KILL_STEPS[0]["statement"] = "UPDATE users SET version = version || '-' || :to WHERE version = :from"
KILL_STEPS[1]["statement"] = "INSERT INTO note (text) SELECT :to WHERE NOT EXISTS (SELECT FROM note WHERE text = :to)"


class Counter:
    """Numbers the requests that belong to a rollback."""

    def __init__(self):
        self.n = 0
        self.committed = False
        self.seen = []

    def number(self, sql):
        """The request's number, or None if it does not count."""
        words = AFTERWARDS if self.committed else TRANSACTION if self.n > 0 else TRANSACTION[:1]
        word = next((w for w in words if sql.startswith(w) or w.startswith("rollbackd.") and w + "(" in sql), None)
        if word is None or sql.startswith("PREPARE"):
            return None
        self.committed = self.committed or word == "COMMIT"
        self.seen.append(word)
        self.n += 1
        return self.n - 1


def prepare(world):
    world.start(rollback={"steps": KILL_STEPS, "settle": "200ms"}, rules=[
        dict(rule, hold="100ms") for rule in world.policy()["rules"]])
    world.rows("INSERT INTO users VALUES (1, 'v2'), (2, 'v0'); INSERT INTO cache VALUES ('us_r%:1', 'v2'), ('other', 'v2')")


def assert_done(world):
    assert world.active() == "v1" and world.changes() == [("v2", "v1")]
    assert world.rows("SELECT version FROM users ORDER BY id") == [("v2-v1",), ("v0",)]
    assert world.rows("SELECT text FROM note") == [("v1",)]
    assert world.rows("SELECT key FROM cache") == [("other",)]
    assert world.value("SELECT rollbackd.generation_of(%s, 'user')", SERVICE) == 1


def statements():
    """The requests of an undisturbed rollback."""
    world = World()
    try:
        prepare(world)
        world.release_bad()
        world.wait_active("v1")
        world.wait_state("recovered")
        counter = Counter()
        for sql in world.proxy.seen:
            counter.number(sql)
        assert_done(world)
    finally:
        world.finish()
    assert tuple(counter.seen[:len(TRANSACTION)]) == TRANSACTION and "WITH picked" in counter.seen
    return counter.seen


def kill_at(k, verdict):
    """The k-th request is held (not executed) or its answer swallowed (executed); then SIGKILL."""
    world = World()
    try:
        prepare(world)
        counter = Counter()
        world.proxy.catch(lambda sql: counter.number(sql) == k, verdict)
        world.release_bad()
        assert world.proxy.caught.wait(30), f"statement {k} was never sent: {world.describe()}"
        world.daemon.kill()
        world.proxy.hook = None
        world.proxy.drop()
        world.restart()
        world.wait_state("recovered")
        assert_done(world)
    except BaseException:
        print(f"killed at statement {k} ({verdict})")
        raise
    finally:
        world.finish()


def test_killed_between_every_two_statements_it_finishes_and_does_nothing_twice():
    seen = statements()
    cases = [(k, HOLD) for k in range(len(seen))]
    # Executed, and not heard of.
    cases += [(k, SWALLOW) for k, word in enumerate(seen) if word in ("COMMIT", "rollbackd.step_result")]
    # A few worlds at a time: each mostly waits.
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        futures = [pool.submit(kill_at, *case) for case in cases]
    for future in futures:
        future.result()


@pytest.mark.sanitize
@pytest.mark.parametrize("steps, last", [(KILL_STEPS, "COMMIT"), ([], "rollbackd.commit_operation")], ids=["transaction", "one call"])
def test_a_swallowed_answer_to_the_commit_is_asked_for_again(world, steps, last):
    world.start(rollback={"steps": steps})
    world.rows("INSERT INTO users VALUES (1, 'v2')")
    world.proxy.catch(lambda sql: sql.startswith(last) or (last in sql and not sql.startswith("PREPARE") and not steps), SWALLOW)
    world.release_bad()
    assert world.proxy.caught.wait(30)
    assert world.active() == "v1"
    world.proxy.hook = None
    world.proxy.drop()
    operation = world.wait_state("recovered")
    assert len(world.operations()) == 1 and world.changes() == [("v2", "v1")]
    assert str(operation["id"]) in world.daemon.log() and "asking again" in world.daemon.log()
    if steps:
        assert world.value("SELECT version FROM users") == "v2-v1"


@pytest.mark.sanitize
def test_a_connection_lost_before_the_commit_is_tried_again(world):
    world.start(rollback={"steps": KILL_STEPS})
    world.rows("INSERT INTO users VALUES (1, 'v2')")
    world.proxy.catch(lambda sql: sql.startswith("COMMIT"), HOLD)
    world.release_bad()
    assert world.proxy.caught.wait(30)
    assert world.active() == "v2"
    world.proxy.drop()
    world.wait_state("recovered")
    assert world.changes() == [("v2", "v1")] and world.value("SELECT version FROM users") == "v2-v1"


def test_killed_while_verifying_it_goes_on_verifying(world):
    world.start(rollback={"verify": "3s"})
    world.release_bad()
    world.wait(lambda: [o for o in world.operations_now() if o[1] == "verifying"], "the verification")
    world.daemon.kill()
    world.restart()
    world.wait_state("recovered")


def test_killed_during_the_hold_it_judges_anew(world):
    world.start(rules=[dict(rule, hold="2s") for rule in world.policy()["rules"]])
    world.release_bad()
    world.wait(lambda: world.service()["health"] == "suspect", "the hold")
    world.daemon.kill()
    world.restart()
    world.wait_active("v1")
