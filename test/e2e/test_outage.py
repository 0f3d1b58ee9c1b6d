"""A ledger that cannot be reached: nothing is done, everybody is told, and it goes on by itself."""
import pytest
from policies import STEPS
from waiting import stays
from world import SERVICE

pytestmark = pytest.mark.sanitize


def test_ledger_down_is_told_holds_and_is_over(world):
    world.start()
    world.deploy("v2")
    world.wait(lambda: world.service()["epoch"] == 2, "the deploy to be seen")
    world.proxy.cut()
    notice = world.wait_alert("ledger.down")
    assert "rollbacks are held" in notice.data["text"] and notice.is_signed_with(world.secrets["oncall"])
    world.application.failing["v2"] = 0.3
    world.wait_alert("rollback.held", guard="ledger")
    stays(lambda: (world.daemon.ask("/livez").status, world.daemon.ask("/readyz").status) == (200, 503),
          "alive and not ready", 60)
    assert world.active() == "v2"
    assert "[-]ledger" in world.daemon.ask("/readyz?verbose").text
    assert "unreachable" in world.daemon.manager.status()
    assert world.daemon.metric("rollbackd_ledger_up") == 0
    world.proxy.open()
    world.wait_active("v1")
    world.wait(lambda: [n for n in world.receiver.find("ledger.down", "/oncall") if "can be reached again" in n.data["text"]],
               "the end of the alert")
    world.wait_state("recovered")


def test_a_stalled_ledger_does_not_stop_the_rest(world):
    world.start()
    world.deploy("v2")
    world.wait(lambda: world.service()["epoch"] == 2, "the deploy to be seen")
    world.proxy.stall()
    world.application.failing["v2"] = 0.3
    world.wait(lambda: world.service()["health"] == "bad", "the rules to go on")
    world.wait(lambda: world.daemon.metric("rollbackd_ledger_up") == 0, "the loss to be noticed", 60)
    assert world.daemon.ask("/livez").status == 200
    world.proxy.flow()
    world.wait_active("v1")


def test_without_a_ledger_it_starts_watches_and_waits(world):
    world.call("register", SERVICE, "v1", True, "known good")
    world.write_policy()
    world.proxy.cut()
    world.daemon.start()
    world.wait_alert("ledger.down")
    assert world.daemon.ask("/readyz").status == 503
    world.application.failing["v2"] = 0.3
    world.deploy("v2")
    world.proxy.open()
    world.wait_active("v1")


def test_a_ledger_lost_while_steps_run_is_waited_for(world):
    world.start(rollback={"steps": STEPS})
    world.rows("INSERT INTO cache VALUES ('us_r%:1', 'v2')")
    blocker = world.connect(autocommit=False)
    blocker.execute("SELECT FROM cache WHERE key = 'us_r%:1' FOR UPDATE")
    world.release_bad()
    world.wait(lambda: [o for o in world.operations_now() if o[1] == "effecting"], "the steps to run")
    world.proxy.cut()
    blocker.rollback()
    world.wait(lambda: world.daemon.metric("rollbackd_ledger_up") == 0, "the loss to be noticed")
    world.proxy.open()
    world.wait_state("recovered")
    assert world.value("SELECT count(*) FROM cache") == 0 and world.value("SELECT count(*) FROM note") == 1


def test_backends_ended_by_an_administrator_come_back(world):
    world.start()
    world.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rollbackd' AND datname = current_database()")
    world.release_bad()
    world.wait_active("v1")


def test_a_deploy_during_the_outage_is_found_afterwards(world):
    world.start()
    world.proxy.cut()
    world.wait(lambda: world.daemon.metric("rollbackd_ledger_up") == 0, "the loss to be noticed")
    world.deploy("v2")
    world.proxy.open()
    world.wait(lambda: world.service()["epoch"] == 2, "the deploy to be seen")
