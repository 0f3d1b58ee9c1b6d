"""A human wins: deploys in the middle, rollbacks and restores by hand, break-glass from psql."""
import threading

import pytest
from policies import STEPS
from proxy import HOLD
from waiting import stays
from world import SERVICE

pytestmark = pytest.mark.sanitize


def hold_commit(world):
    """The daemon's next commit waits in the proxy; returns what lets it go on."""
    go = threading.Event()
    reached = threading.Event()

    def hook(_, sql):
        if "commit_operation" in sql and not sql.startswith("PREPARE"):
            reached.set()
            go.wait(30)
        return "pass"
    world.proxy.hook = hook
    return reached, go


def test_a_deploy_before_the_commit_wins(world):
    world.start()
    world.release_bad()
    reached, go = hold_commit(world)
    assert reached.wait(30)
    world.deploy("v3")
    go.set()
    world.wait(lambda: world.service()["epoch"] == 3 and world.service()["operation"] is None, "the loss to be seen")
    stays(lambda: world.active() == "v3", "v3 active", 0.5)
    assert world.changes() == [] and world.operations() == []


def test_a_deploy_during_the_verification_supersedes(world):
    world.start(rollback={"verify": "1m"})
    world.release_bad()
    world.wait(lambda: [o for o in world.operations_now() if o[1] == "verifying"], "the verification")
    world.deploy("v3")
    operation = world.wait_state("superseded")
    world.wait_alert("rollback.superseded")
    assert world.active() == "v3" and operation["to_version"] == "v1"
    world.wait(lambda: world.service()["operation"] is None, "the operation to be forgotten")
    assert world.changes() == [("v2", "v1")]


def test_a_deploy_while_steps_run_supersedes(world):
    world.start(rollback={"steps": STEPS})
    world.rows("INSERT INTO cache VALUES ('us_r%:1', 'v2')")
    blocker = world.connect(autocommit=False)
    blocker.execute("SELECT FROM cache WHERE key = 'us_r%:1' FOR UPDATE")
    world.release_bad()
    world.wait(lambda: [o for o in world.operations_now() if o[1] == "effecting"], "the steps to run")
    world.deploy("v3")
    world.wait_state("superseded")
    blocker.rollback()
    assert world.active() == "v3"
    world.wait(lambda: world.value("SELECT count(*) FROM cache") == 0, "the invalidations to go on")


def test_restore_goes_forward_and_automation_stays_off(world):
    world.start()
    world.release_bad()
    world.wait_state("recovered")
    answer = world.ask_operation("restore", reason="a false alarm")
    assert answer.status == 202, answer.text
    world.wait_active("v2")
    world.wait_alert("restore.not_recovered")
    world.wait_state("not_recovered")
    assert world.service()["holding"] in ("depth", "pause")
    key = world.operations()[0]["id"]
    done = world.ctl("ack", key, "--false", "--note", "the client was broken", user="alice")
    assert done.returncode == 0, done.stderr
    operation = world.operations()[0]
    assert (operation["label"], operation["label_note"], operation["label_by"]) == (False, "the client was broken", "alice")


def test_a_forced_deploy_stays_until_resume(world):
    world.start()
    world.release_bad()
    world.wait_state("recovered")
    world.deploy("v2", force=True)
    world.wait_alert("rollback.held", guard="pause")
    stays(lambda: world.active() == "v2", "v2 active", 0.5)
    world.call("resume", SERVICE)
    world.wait_active("v1")


def test_a_person_rolls_back_over_the_socket(world):
    world.start(rollback={"mode": "observe", "steps": STEPS})
    world.rows("INSERT INTO users VALUES (1, 'v2')")
    world.deploy("v2")
    world.wait(lambda: world.service()["epoch"] == 2, "the deploy to be seen")
    answer = world.ask_operation("rollback", {"If-Match": '"2"'}, reason="customers complain")
    assert answer.status == 202, answer.text
    operation = world.wait_state("recovered")
    assert str(operation["id"]) == answer.json["operation"]
    assert not operation["automatic"] and operation["reason"] == "customers complain"
    assert operation["actor"].startswith("uid:") and world.active() == "v1"
    assert world.value("SELECT version FROM users") == "v1"


def test_a_person_names_the_target(world):
    world.start()
    world.deploy("v2")
    world.deploy("v3")
    world.wait(lambda: world.service()["epoch"] == 3, "the deploys to be seen")
    assert world.ask_operation("rollback", reason="to the one before", target="v2").status == 202
    world.wait_active("v2")


def test_a_stale_epoch_changes_nothing(world):
    world.start()
    world.deploy("v2")
    world.wait(lambda: world.service()["epoch"] == 2, "the deploy to be seen")
    answer = world.ask_operation("rollback", {"If-Match": '"1"'}, reason="too late")
    assert answer.status == 412 and answer.headers["Content-Type"] == "application/problem+json"
    stays(lambda: world.active() == "v2", "v2 active", 0.3)


def test_loopback_is_for_reading(world):
    world.start()
    world.deploy("v2")
    world.wait(lambda: world.service()["epoch"] == 2, "the deploy to be seen")
    assert world.daemon.ask(f"/api/v1/services/{SERVICE}", local=False).json["version"] == "v2"
    assert world.ask_operation("rollback", local=False, reason="from afar").status == 403
    assert world.daemon.ask("/livez", local=False, headers={"Host": "evil.example"}).status == 403
    stays(lambda: world.active() == "v2", "v2 active", 0.3)


@pytest.mark.parametrize("body, status", [
    ({}, 400), ({"reason": ""}, 400), ({"reason": 1}, 400), ({"reason": "x" * 501}, 400),
    ({"reason": "x", "tarjet": "v1"}, 400), ({"reason": "x", "target": "v9"}, 422)])
def test_a_request_that_is_wrong_changes_nothing(world, body, status):
    world.start()
    world.deploy("v2")
    world.wait(lambda: world.service()["epoch"] == 2, "the deploy to be seen")
    assert world.ask_operation("rollback", **body).status == status
    assert world.active() == "v2" and world.operations() == []


def test_a_person_during_an_operation_in_doubt_is_not_undone(world):
    world.start()
    world.release_bad()
    world.proxy.catch(lambda sql: "commit_operation" in sql and not sql.startswith("PREPARE"), HOLD)
    assert world.proxy.caught.wait(30)
    world.deploy("v3")
    world.proxy.drop()
    world.wait(lambda: world.service()["epoch"] == 3 and world.service()["operation"] is None, "the loss to be seen")
    stays(lambda: world.active() == "v3", "v3 active", 0.5)
    assert world.changes() == []
