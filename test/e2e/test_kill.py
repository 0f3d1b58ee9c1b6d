"""Killed at any instant, rollbackd resumes and finishes; nothing is done twice."""
import concurrent.futures
import copy
import os
import random
import signal
import subprocess

import pytest
from ledger_support import SQL
from policies import STEPS
from proxy import HOLD, PASS, SWALLOW
from schema_one import administrator, put_schema_one
from supervisor import BUILD
from waiting import pause, wait_until
from world import SERVICE, World, shared_site

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


# Killed at any moment: what is killed when is drawn from a seed. Some in each run of the tests; KILL_SEEDS asks for more.
SEEDS = range(int(os.environ.get("KILL_SEEDS", "2")))
OLD = """
INSERT INTO rollbackd.event (id, at, service, kind, actor, fields)
SELECT gen_random_uuid(), now() - interval '500 days' - g * interval '1 minute', 'users-api', 'old.event', 'x', '{}'
  FROM generate_series(1, 20000) g;
INSERT INTO rollbackd.delivery (id, event, subscriber, seq, state, next_at, finished_at)
SELECT gen_random_uuid(), id, 'policy:gone:1', seq, 'done', at, at FROM rollbackd.event WHERE kind = 'old.event' AND seq % 4 = 0;
INSERT INTO rollbackd.operation (id, service, kind, automatic, from_epoch, to_epoch, from_version, to_version, state, actor,
        xid, opened_at, closed_at)
SELECT gen_random_uuid(), 'users-api', 'rollback', true, -2 * g, 1 - 2 * g, 'a', 'b', 'recovered', 'x', '3',
       now() - interval '500 days', now() - interval '499 days' FROM generate_series(1, 1000) g;
INSERT INTO rollbackd.step (operation, n, kind, spec, state, finished_at)
SELECT id, n, 'cache', '{}', 'done', closed_at FROM rollbackd.operation, generate_series(0, 2) n WHERE state = 'recovered';
"""
LEFT = ("SELECT (SELECT count(*) FROM rollbackd.event WHERE kind = 'old.event'), (SELECT count(*) FROM rollbackd.operation "
        "WHERE from_epoch < 0), (SELECT count(*) FROM rollbackd.step s WHERE s.kind = 'cache' AND s.spec = '{}')")


def at_random(kind, seed, story):
    """A world and its dice."""
    world = World()
    dice = random.Random(f"{kind} {seed}")
    try:
        story(world, dice)
    except BaseException:
        print(f"{kind}, seed {seed}: {world.describe()}")
        raise
    finally:
        world.finish()


def each_seed(kind, story):
    shared_site()   # here, for its server ends with the thread that began it
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(at_random, kind, seed, story) for seed in SEEDS]
    for future in futures:
        future.result()


def release_and_wait(world, dice, verdicts=(PASS,)):
    """A bad release, until its rollback has come to a request that the dice say, and what becomes of that."""
    counter, goal, verdict = Counter(), dice.randrange(20), dice.choice(verdicts)
    world.proxy.caught.clear()

    def hook(_, sql):
        if counter.number(sql) != goal:
            return PASS
        world.proxy.caught.set()
        return verdict
    world.proxy.hook = hook
    world.release_bad()
    assert world.proxy.caught.wait(30), f"request {goal}: {counter.seen}"
    pause(dice.uniform(0, 0.02))


def start_ctl(world, *words):
    return subprocess.Popen([str(w) for w in (BUILD / "rollbackctl", *words, "--conninfo", administrator(world))],
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")


def kill_some(world, dice, ctl):
    """The daemon, the other program, or both, one after the other."""
    for victim in dice.sample(["daemon", "ctl"], dice.choice([1, 2])):
        pause(dice.uniform(0, 0.03))
        if victim == "daemon":
            world.daemon.kill()
            world.proxy.drop()
        else:
            ctl.kill()
    world.proxy.hook = None
    if world.daemon.process.poll() is not None:
        world.restart()


def until_done(world, *words):
    """A command that was killed is given again, until it says that it is done."""
    wait_until(lambda: start_ctl(world, *words).wait(60) == 0, " ".join(map(str, words)))


def retention_story(world, dice):
    words = ("db", "prune", "--older-than", "400d")
    prepare(world)
    world.rows(OLD)
    goal = dice.randrange(sum(world.rows(LEFT)[0]))
    release_and_wait(world, dice)
    ctl = start_ctl(world, *words)
    # Between two batches; what is killed then is killed in the next.
    wait_until(lambda: sum(world.rows(LEFT)[0]) <= goal or ctl.poll() is not None, "some batches")
    kill_some(world, dice, ctl)
    ctl.wait(60)
    _, operations, steps = world.rows(LEFT)[0]
    assert steps == 3 * operations, "an operation goes with its steps, or not at all"

    # The server may still be at the batch whose sender was killed.
    def pruned():
        until_done(world, *words)
        return world.rows(LEFT)[0] == (0, 0, 0)
    wait_until(pruned, lambda: f"all that is old to go: {world.rows(LEFT)}")
    world.wait_state("recovered")
    assert_done(world)


def test_killed_at_random_during_retention():
    each_seed("retention", retention_story)


def drain_story(world, dice):
    prepare(world)
    if dice.random() < 0.3:
        world.receiver.flowing.clear()
    release_and_wait(world, dice, (PASS, HOLD, SWALLOW))
    world.daemon.expected = False
    for number in [signal.SIGTERM, *dice.choice([[], [], [signal.SIGHUP], [signal.SIGHUP, signal.SIGTERM], [signal.SIGINT]])]:
        world.daemon.signal(number)
        pause(dice.uniform(0, 0.05))
    world.daemon.kill()
    assert world.daemon.process.returncode in (0, -signal.SIGKILL), world.daemon.log()[-3000:]
    world.proxy.hook = None
    world.receiver.flowing.set()
    world.proxy.drop()
    world.restart()
    world.wait_state("recovered")
    assert_done(world)


def test_killed_at_random_while_stopping():
    each_seed("drain", drain_story)


def migration_story(world, dice):
    words = ("db", "migrate", "--directory", SQL)
    put_schema_one(world)
    prepare(world)
    # Somebody is in the migration's way, and the daemon's next writes wait behind it.
    holder = world.connect(autocommit=False)
    holder.execute(f"LOCK TABLE rollbackd.{dice.choice(['service', 'operation', 'delivery', 'event'])} IN ROW EXCLUSIVE MODE")
    release_and_wait(world, dice)
    ctl = start_ctl(world, *words)
    wait_until(lambda: world.value("SELECT count(*) FROM pg_locks WHERE NOT granted AND mode IN ('ExclusiveLock', 'ShareLock')"),
               "the migration to wait")
    if dice.random() < 0.5:
        holder.rollback()
    kill_some(world, dice, ctl)
    holder.rollback()
    ctl.wait(60)
    until_done(world, *words)
    assert world.value("SELECT version FROM rollbackd.schema") == 2
    numbers = [row[0] for row in world.rows("SELECT number FROM rollbackd.migration ORDER BY number")]
    assert numbers == list(range(1, len(list((SQL / "migrations").glob("*.sql"))) + 1))
    world.wait_state("recovered")
    assert_done(world)


def test_killed_at_random_during_a_migration():
    each_seed("migration", migration_story)
