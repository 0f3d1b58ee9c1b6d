"""rollback() from psql, with rollbackd alive and dead: it is adopted, and its steps run once."""
from policies import STEPS
from world import SERVICE


def test_break_glass_from_psql_is_adopted_with_its_steps_once(world):
    world.start(rollback={"steps": STEPS})
    world.rows("INSERT INTO users VALUES (1, 'v2'), (2, 'v0'); INSERT INTO cache VALUES ('us_r%:1', 'v2')")
    world.deploy("v2")
    world.call("rollback", SERVICE, "the shop is on fire")
    world.wait_state("recovered")
    assert world.active() == "v1" and world.changes() == []
    assert world.rows("SELECT version FROM users ORDER BY id") == [("v1",), ("v0",)]
    assert world.value("SELECT count(*) FROM cache") == 0
    assert world.rows("SELECT text FROM note") == [("::not :fromv2>v1",)]


def test_break_glass_while_rollbackd_is_dead_is_adopted_at_its_start(world):
    world.start(rollback={"steps": STEPS})
    world.deploy("v2")
    world.daemon.kill()
    world.call("rollback", SERVICE, "rollbackd is dead, too")
    assert world.active() == "v1"
    world.restart()
    world.wait_state("recovered")
    assert world.rows("SELECT text FROM note") == [("::not :fromv2>v1",)]
