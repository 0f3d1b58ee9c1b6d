"""Two and three sessions at once: exactly one wins, and the others get a clear answer."""
import threading
import uuid

import psycopg
import pytest

from ledger_support import call, commit, ledger, ledger_cluster, refused  # noqa: F401
from waiting import wait_until

SERVICE = "users-api"


def race(ledger, *acts):
    """Lets the acts wait behind one lock of the service, then lets them go; each act takes a
    connection; returns what each one returned or raised, in the order given."""
    results = [None] * len(acts)
    connections = [ledger.connect(user) for user, _ in acts]
    gate = ledger.connect("postgres", autocommit=False)
    gate.execute("SELECT FROM rollbackd.service WHERE name = %s FOR NO KEY UPDATE", (SERVICE,))

    def run(i):
        try:
            results[i] = acts[i][1](connections[i])
        except psycopg.Error as error:
            results[i] = error.sqlstate

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(acts))]
    for i, thread in enumerate(threads):
        thread.start()
        wait_until(lambda: ledger.is_waiting(connections[i]), f"session {i} to wait")
    gate.commit()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive(), "a session hangs"
    return results


def roll(connection):
    return commit(connection, SERVICE)[0]


def deploy(version, **named):
    return lambda connection: call(connection, "deploy", SERVICE, version, **named)


def test_deploy_before_rollback(ledger):
    ledger.start()
    assert race(ledger, ("ci", deploy("v3")), ("rollbackd", roll)) == [3, "lost"]
    assert ledger.call("active", SERVICE) == "v3"


def test_rollback_before_deploy_that_saw_the_old_epoch(ledger):
    ledger.start()
    results = race(ledger, ("rollbackd", roll), ("ci", deploy("v3", expect_epoch=2)))
    assert results == ["committed", "RB003"]
    assert ledger.call("active", SERVICE) == "v1"


def test_rollback_before_a_deploy_that_does_not_ask(ledger):
    ledger.start()
    assert race(ledger, ("rollbackd", roll), ("ci", deploy("v3"))) == ["committed", 4]
    assert ledger.rows("SELECT state FROM rollbackd.operation") == [("superseded",)]
    assert ledger.call("active", SERVICE) == "v3"


@pytest.mark.parametrize("n", [2, 3, 8])
def test_rollbacks_race(ledger, n):
    ledger.start()
    results = race(ledger, *[("rollbackd", roll)] * n)
    assert sorted(results) == ["committed"] + ["lost"] * (n - 1)
    assert ledger.load()["epoch"] == 3
    assert ledger.value("SELECT count(*) FROM rollbackd.operation") == 1


def test_pin_before_deploy(ledger):
    ledger.start()
    pin = lambda connection: call(connection, "pin", SERVICE, "1 hour", "audit") is not None
    assert race(ledger, ("alice", pin), ("ci", deploy("v3"))) == [True, "RB002"]


def test_deploy_before_pin_and_rollback(ledger):
    ledger.start()
    pin = lambda connection: call(connection, "pin", SERVICE, "1 hour", "audit") is not None
    results = race(ledger, ("ci", deploy("v3")), ("alice", pin), ("rollbackd", roll))
    assert results == [3, True, "lost"]


def test_two_deploys_and_a_rollback(ledger):
    ledger.start()
    results = race(ledger, ("ci", deploy("v3", expect_epoch=2)),
                   ("alice", deploy("v4", expect_epoch=2)), ("rollbackd", roll))
    assert results == [3, "RB003", "lost"]
    assert ledger.load()["epoch"] == 3


def test_two_people_roll_back(ledger):
    ledger.start()
    act = lambda connection: call(connection, "rollback", SERVICE, "bad") is not None
    assert race(ledger, ("alice", act), ("alice", act)) == [True, "RB004"]
    assert ledger.call("active", SERVICE) == "v1"


def test_a_loser_under_repeatable_read_is_told_to_read_again(ledger):
    ledger.start()
    ledger.rows("ALTER ROLE rollbackd SET default_transaction_isolation = 'repeatable read'")
    try:
        assert race(ledger, ("rollbackd", roll), ("rollbackd", roll)) == ["committed", "40001"]
    finally:
        ledger.rows("ALTER ROLE rollbackd RESET default_transaction_isolation")
    assert ledger.value("SELECT count(*) FROM rollbackd.operation") == 1


def ask_again(ledger, key):
    """Starts a second call with the same id, and returns the thread and where its answer goes."""
    answer = []
    second = ledger.connect("rollbackd")
    thread = threading.Thread(target=lambda: answer.append(commit(second, SERVICE, id=key)))
    thread.start()
    wait_until(lambda: ledger.is_waiting(second), "the second call to wait")
    return thread, answer


def test_in_doubt_waits_for_the_first_backend_and_answers_replay(ledger):
    ledger.start()
    key = str(uuid.uuid4())
    first = ledger.connect("rollbackd", autocommit=False)
    assert commit(first, SERVICE, id=key)[0] == "committed"
    # What a plain SELECT says meanwhile is wrong: this is why nobody may rely on it.
    assert ledger.value("SELECT count(*) FROM rollbackd.operation") == 0
    thread, answer = ask_again(ledger, key)
    first.commit()
    thread.join(30)
    assert answer == [("replay", "committed", 3)]
    assert ledger.value("SELECT count(*) FROM rollbackd.operation") == 1


def test_in_doubt_and_the_first_was_undone(ledger):
    ledger.start()
    key = str(uuid.uuid4())
    first = ledger.connect("rollbackd", autocommit=False)
    commit(first, SERVICE, id=key)
    thread, answer = ask_again(ledger, key)
    first.rollback()
    thread.join(30)
    assert answer == [("committed", "rollback v2 -> v1", 3)]


def test_atomic_steps_are_recorded_in_their_transaction_only(ledger):
    ledger.start()
    key = str(uuid.uuid4())
    steps = '[{"n": 0, "kind": "sql", "atomic": true}, {"n": 1, "kind": "sql", "atomic": true}]'
    connection = ledger.connect("rollbackd", autocommit=False)
    commit(connection, SERVICE, id=key, steps=steps)
    with connection.transaction():
        call(connection, "atomic_result", key, 0, "done")
    connection.commit()
    assert ledger.rows("SELECT state FROM rollbackd.step ORDER BY n") == [("done",), ("pending",)]
    refused("RB007", ledger.call, "atomic_result", key, 1, "done", user="rollbackd")
    refused("RB005", ledger.call, "atomic_result", key, 1, "maybe", user="rollbackd")


def test_an_operation_id_belongs_to_one_service(ledger):
    ledger.start()
    ledger.start("other")
    key = str(uuid.uuid4())
    ledger.commit(id=key)
    refused("RB005", ledger.commit, "other", id=key)
    refused("RB005", ledger.commit, id=None)
    refused("RB005", ledger.commit, kind="explode")
    refused("RB005", ledger.commit, kind="restore")


def test_a_second_automatic_rollback_of_one_incident_is_impossible(ledger):
    ledger.start()
    key = str(uuid.uuid4())
    ledger.commit(id=key)
    ledger.call("move_operation", key, "recovered", user="rollbackd")
    with pytest.raises(psycopg.errors.UniqueViolation):
        ledger.rows("INSERT INTO rollbackd.operation (id, service, kind, automatic, from_epoch, "
                    "to_epoch, from_version, to_version, state, actor, xid, opened_at, closed_at) "
                    "VALUES (gen_random_uuid(), 'users-api', 'rollback', true, 2, 9, 'v2', 'v1', "
                    "'failed', 'x', pg_current_xact_id(), now(), now())")
