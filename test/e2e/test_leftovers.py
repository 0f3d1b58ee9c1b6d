"""Steps of an operation that a person's deploy has closed, or that a newer operation has pushed aside: they go on."""
import uuid

import pytest
from policies import STEPS
from world import SERVICE

pytestmark = pytest.mark.sanitize


def steps_left(world, key):
    return world.value("SELECT count(*) FROM rollbackd.step WHERE operation = %s AND state = 'pending'", key)


def supersede_while_steps_run(world):
    """A cache row is locked, and the deploy of v3 closes the rollback whose steps wait for it. Returns the lock's
    owner and the rollback's id."""
    world.start(rollback={"steps": STEPS})
    world.rows("INSERT INTO cache VALUES ('us_r%:1', 'v2')")
    blocker = world.connect(autocommit=False)
    blocker.execute("SELECT FROM cache WHERE key = 'us_r%:1' FOR UPDATE")
    world.release_bad()
    world.wait(lambda: [o for o in world.operations_now() if o[1] == "effecting"], "the steps to run")
    world.deploy("v3")
    return blocker, world.wait_state("superseded")["id"]


def test_after_a_restart(world):
    blocker, key = supersede_while_steps_run(world)
    world.daemon.kill()
    blocker.rollback()
    assert steps_left(world, key) > 0
    world.restart()
    world.wait(lambda: steps_left(world, key) == 0, "the steps that were left")
    assert world.value("SELECT count(*) FROM cache") == 0
    assert world.rows("SELECT DISTINCT state FROM rollbackd.step WHERE operation = %s", key) == [("done",)]
    assert world.active() == "v3"


def test_behind_a_newer_operation(world):
    blocker, first = supersede_while_steps_run(world)
    world.application.failing["v3"] = 0.3
    world.wait(lambda: len(world.operations_now()) == 2, "the second rollback")
    second = world.operations_now()[-1][0]
    assert second != first and steps_left(world, first) > 0
    blocker.rollback()
    world.wait(lambda: steps_left(world, first) + steps_left(world, second) == 0, "the steps of both")
    assert world.active() == "v1"
    assert world.value("SELECT count(*) FROM rollbackd.step WHERE state <> 'done'") == 0


def test_of_a_service_whose_policy_comes_back(world):
    blocker, key = supersede_while_steps_run(world)
    policy = world.root / "policies.d" / f"{SERVICE}.conf"
    text = policy.read_text()
    policy.unlink()
    world.daemon.reload()
    blocker.rollback()
    world.write_policy(text, f"{SERVICE}.conf")
    world.daemon.reload()
    world.wait(lambda: steps_left(world, key) == 0, "the steps that were left")
    assert world.value("SELECT count(*) FROM cache") == 0


def test_after_a_reconnect(world):
    """As if another daemon had died over it."""
    world.start(rollback={"steps": STEPS})
    world.release_bad()
    key = world.wait_state("recovered")["id"]
    world.rows("UPDATE rollbackd.step SET state = 'pending', finished_at = NULL WHERE operation = %s AND kind = 'session'", key)
    world.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rollbackd' AND datname = current_database()")
    world.wait(lambda: steps_left(world, key) == 0, "the step that was left")


def rename_operation(world, old, new):
    """As in a ledger that was restored from a backup: there is another operation in the place of one that rollbackd
    works on."""
    with world.cluster.connect(world.database, autocommit=False) as connection:
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute("UPDATE rollbackd.operation SET id = %s WHERE id = %s", (new, old))
        for table in ("step", "event"):
            connection.execute(f"UPDATE rollbackd.{table} SET operation = %s WHERE operation = %s", (new, old))


def test_of_a_ledger_that_no_longer_knows_the_operation_at_work(world):
    blocker, key = supersede_while_steps_run(world)
    other = uuid.uuid4()
    rename_operation(world, key, other)
    blocker.rollback()
    world.proxy.drop()
    world.wait(lambda: f"the ledger does not know operation {key} any more" in world.daemon.log(), "its steps to be given up")
    world.wait(lambda: steps_left(world, other) == 0, "the steps that are left in the ledger that is there")
    assert world.value("SELECT count(*) FROM cache") == 0


def test_a_persons_rollback_that_the_ledger_no_longer_knows_when_it_is_adopted(world):
    world.start(rollback={"steps": STEPS})
    world.deploy("v2")
    world.proxy.catch(lambda sql: "rollbackd.adopt_operation(" in sql and not sql.startswith("PREPARE"))
    key = world.call("rollback", SERVICE, "by hand")
    assert world.proxy.caught.wait(30)
    world.rows("DELETE FROM rollbackd.operation WHERE id = %s", key)
    world.proxy.drop()
    world.wait(lambda: f"the ledger does not know operation {key} any more" in world.daemon.log(), "it to be given up")
    world.wait(lambda: world.daemon.metric(f'rollbackd_service_operation{{service="{SERVICE}"}}') == 0, "no operation")
