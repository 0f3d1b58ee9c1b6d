"""The main job: a bad release is noticed and taken back, a good one stays."""
import pytest
from application import Application
from policies import ordinary
from waiting import stays
from world import SERVICE

pytestmark = pytest.mark.sanitize


def test_a_release_that_fails_requests_is_taken_back(world):
    world.start()
    world.release_bad()
    world.wait_active("v1")
    operation = world.wait_state("recovered")
    assert (operation["from_version"], operation["to_version"], operation["automatic"]) == ("v2", "v1", True)
    assert operation["evidence"]["rule"] == "errors"
    assert world.changes() == [("v2", "v1")]
    assert world.value("SELECT quarantined_until IS NOT NULL FROM rollbackd.version WHERE version = 'v2'")


def test_a_release_that_is_down_is_taken_back(world):
    world.start()
    world.application.down.add("v2")
    world.deploy("v2")
    world.wait_active("v1")
    assert world.wait_state("recovered")["evidence"]["rule"] == "down"


def test_a_release_that_nobody_can_reach_is_taken_back(world):
    world.start()
    world.deploy("v2")
    world.application.refuse()
    world.wait_active("v1")
    world.application.listen()
    world.wait_state("recovered")


def test_a_good_release_stays(world):
    world.start()
    world.application.failing["v2"] = 0.01
    world.deploy("v2")
    world.wait(lambda: world.service()["health"] == "watching", "v2 to be watched")
    world.wait_sampled(20)
    assert world.active() == "v2" and world.operations() == []
    assert world.service()["epoch"] == 2


def test_observe_records_what_it_would_have_done_and_touches_nothing(world):
    world.start(rollback={"mode": "observe"})
    world.release_bad()
    event = world.wait(lambda: world.events("rollback.would"), "the event")[0]
    assert (event["rule"], event["version"], event["target"]) == ("errors", "v2", "v1")
    assert "would have been rolled back from v2 to v1 (" in world.wait_notice("rollback.would").data["text"]
    stays(lambda: world.active() == "v2", "v2 active")
    assert world.operations() == [] and len(world.events("rollback.would")) == 1
    key = str(world.value("SELECT id FROM rollbackd.event WHERE kind = 'rollback.would'"))
    world.wait(lambda: world.ctl("explain", key).returncode == 0, "the event among the latest")
    assert "errors" in world.ctl("explain", key).stdout


def test_confirm_alerts_with_the_command_to_type(world):
    world.start(rollback={"mode": "confirm"})
    world.release_bad()
    notice = world.wait_alert("rollback.confirm")
    assert f"rollbackctl rollback {SERVICE}" in notice.data["type_now"]
    assert notice.is_signed_with(world.secrets["oncall"])
    stays(lambda: world.active() == "v2", "v2 active", 0.5)
    assert world.operations() == []


def test_not_recovered_is_told_and_nothing_further_is_done(world):
    world.start()
    world.application.failing["v1"] = 0.3
    world.release_bad()
    operation = world.wait_state("not_recovered")
    assert world.wait_alert("rollback.not_recovered").data["operation"] == str(operation["id"])
    world.wait_alert("rollback.held", guard="depth")
    assert world.changes() == [("v2", "v1")]
    assert world.value("SELECT quarantined_until IS NULL FROM rollbackd.version WHERE version = 'v2'")


def test_without_traffic_the_rollback_is_unverified(world):
    world.start()
    world.release_bad()
    world.wait_active("v1")
    world.application.traffic = 0
    world.wait_state("unverified")
    world.wait_alert("rollback.unverified")


def test_a_version_that_bakes_earns_its_stable_mark(world):
    world.start(release={"bake": {"time": "1s", "requests": 200}})
    world.deploy("v2")
    world.wait(lambda: world.value("SELECT stable FROM rollbackd.service_status"), "v2 to be stable")
    assert world.events("release.stable")
    world.release_bad("v3")
    world.wait_active("v2")
    world.wait_state("recovered")
    assert world.changes() == [("v3", "v2")]


def test_the_bad_release_of_one_service_leaves_the_other_alone(world):
    other = world.add(Application(lambda: world.value("SELECT rollbackd.active('other')")))
    world.call("register", "other", "a1", True, "known good")
    world.write_policy(ordinary([other], world.receiver, service="other"))
    world.start()
    world.call("deploy", "other", "a2", user="ci")
    world.release_bad()
    world.wait_active("v1")
    world.wait_state("recovered")
    assert world.service("other")["version"] == "a2" and world.service("other")["health"] in ("warming", "watching")
    other.down.add("a2")
    world.wait(lambda: world.service("other")["version"] == "a1", "the other one to be taken back")
    world.wait_state("recovered", 2)


def test_targets_that_answer_the_old_version_are_stragglers_and_convict_nobody(world):
    late = world.add(Application(lambda: "v1"))
    world.applications.append(late)
    late.failing["v1"] = 0.9
    world.start()
    late.traffic = 0
    world.deploy("v2")

    def stragglers():
        probe = next(p for p in world.service()["probes"] if p["name"] == "red")
        return [t["url"] for t in probe["targets"] if t["straggler"]]
    world.wait(lambda: stragglers() == [f"{late.url}/metrics"], "the straggler to be named")
    late.traffic = 100
    world.wait_sampled(20)
    assert world.active() == "v2" and world.operations() == []
