"""What holds an automatic rollback back, and that it goes on when the guard lets it go."""
import pytest
from application import Application
from waiting import stays
from world import SERVICE


@pytest.fixture(autouse=True)
def not_to_its_end(world):
    """How a rollback goes on after its commit is not what these tests are about."""
    world.open_allowed = True


def assert_held(world, guard, **data):
    """The alert says which guard holds, and the pointer stays."""
    notice = world.wait_alert("rollback.held", guard=guard, **data)
    assert f"is held by {guard}: {notice.data['held']}; " in notice.data["text"] and notice.data["rule"] == "errors"
    assert "rollbackctl rollback" in notice.data["type_now"]
    world.wait(lambda: world.service()["holding"] == guard, f"{guard} to hold")
    stays(lambda: world.changes() == [], "nothing done", 0.3)
    assert f'rollbackd_service_held{{service="{SERVICE}",guard="{guard}"}} 1' in world.daemon.ask("/metrics").text
    return notice


def test_a_pause_holds_until_resume(world):
    world.start()
    world.call("pause", SERVICE, "1 hour", "maintenance")
    world.release_bad()
    assert_held(world, "pause")
    world.call("resume", SERVICE)
    world.wait_active("v1")


def test_a_pin_holds_until_unpin(world):
    world.start()
    world.release_bad(share=0)
    world.call("pin", SERVICE, "1 hour", "a demonstration")
    world.application.failing["v2"] = 0.3
    assert_held(world, "pin")
    world.call("unpin", SERVICE)
    world.wait_active("v1")


def test_a_short_pause_ends_by_itself(world):
    world.start()
    world.call("pause", SERVICE, "3 seconds", "a moment")
    world.release_bad()
    world.wait_active("v1")


def test_cooldown_holds_after_an_automatic_rollback_and_a_person_ends_it(world):
    world.start()
    world.release_bad()
    world.wait_state("recovered")
    world.wait(lambda: world.guard("cooldown") == "holds", "the cooldown")
    world.release_bad("v4")
    world.wait_state("recovered", 2)
    assert world.changes() == [("v2", "v1"), ("v4", "v1")]


def test_an_observed_rollback_is_not_repeated_within_the_cooldown(world):
    world.start(rollback={"mode": "observe", "cooldown": "10m"})
    world.release_bad()
    world.wait(lambda: world.events("rollback.would"), "the event")
    world.write_policy(world.policy(rollback={"mode": "automatic"}))
    world.daemon.reload()
    world.wait(lambda: world.guard("cooldown") == "holds", "the cooldown")
    stays(lambda: world.active() == "v2", "v2 active", 0.5)


def test_the_budget_holds(world):
    world.start(rollback={"budget": {"count": 1, "per": "1d"}, "cooldown": "0s"})
    world.release_bad()
    world.wait_state("recovered")
    world.release_bad("v3")
    world.wait_alert("rollback.held", guard="budget")
    stays(lambda: world.active() == "v3", "v3 active", 0.5)
    assert world.changes() == [("v2", "v1")]


def test_a_rolling_deploy_holds_until_it_is_done(world):
    world.start()
    epoch = world.release_bad(rolling=True)
    assert_held(world, "deploying")
    world.call("deploy_done", SERVICE, epoch, user="ci")
    world.wait_active("v1")


def test_depth_only_a_deploy_is_taken_back(world):
    world.start()
    world.application.failing["v1"] = 0.3
    assert_held(world, "depth")


def test_no_target_is_told_at_the_deploy_and_holds(world):
    world.call("register", SERVICE, "v1", False)
    world.start()
    world.release_bad()
    world.wait_alert("release.no_target")
    assert_held(world, "target")
    world.call("mark_stable", SERVICE, "v1", "it was fine")
    world.wait_active("v1")


def test_nothing_goes_back_behind_a_barrier(world):
    world.start()
    world.release_bad(barrier=True)
    assert_held(world, "barrier")


def test_nothing_goes_back_out_of_its_schema_range(world):
    world.start()
    world.deploy("v2", schema_min=1, schema_max=1)
    world.call("mark_stable", SERVICE, "v2", "known good")
    world.call("ban", SERVICE, "v1", "a hole")
    world.release_bad("v3", schema_min=2, schema_max=2)
    assert_held(world, "barrier")


def test_a_banned_version_is_no_target(world):
    world.start()
    world.call("ban", SERVICE, "v1", "a hole in it")
    world.release_bad()
    assert_held(world, "target")
    world.call("unban", SERVICE, "v1")
    world.wait_active("v1")


def test_samples_of_the_warmup_do_not_count(world):
    world.start(release={"warmup": "4s"})
    world.release_bad()
    world.wait_sampled(16)
    service = world.service()
    assert service["warm_left_seconds"] > 0 or world.changes()
    if service["warm_left_seconds"] > 0:
        assert service["health"] == "warming" and world.guard("warmup") != "passes" and not world.changes()
    world.wait_active("v1")


def test_after_the_watch_window_the_same_rules_only_page(world):
    world.start(release={"watch": "1s"})
    world.deploy("v2")
    world.wait(lambda: world.guard("watch") == "holds", "the end of the watch window")
    world.application.failing["v2"] = 0.3
    assert_held(world, "watch")


def test_one_host_down_of_two_is_not_the_release(world):
    world.applications.append(world.add(Application(world.active)))
    world.start()
    world.deploy("v2")
    world.applications[1].refuse()

    def down():
        probe = next(p for p in world.service()["probes"] if p["name"] == "live")
        return [t["state"] for t in probe["targets"]] == ["good", "bad"]
    world.wait(down, "one target to be down")
    stays(lambda: world.active() == "v2", "v2 active", 1)


@pytest.fixture
def dependency(world):
    """What the service leans on: declared as a probe of its own."""
    made = world.add(Application(lambda: "1"))
    world.dependency_probe = {"backend": {"kind": "http", "targets": [f"{made.url}/healthz"], "interval": "200ms",
                                          "timeout": "200ms", "dependency": True}}
    return made


def test_a_bad_dependency_holds_also_once_it_is_back(world, dependency):
    world.start(probes=world.dependency_probe)
    world.deploy("v2")
    dependency.status = 500
    world.application.failing["v2"] = 0.3
    assert_held(world, "dependency")
    dependency.status = None
    world.application.failing["v2"] = 0
    world.wait(lambda: world.service()["health"] == "watching", "v2 to be good")
    assert world.changes() == []
    world.application.failing["v2"] = 0.3
    world.wait_active("v1")


def test_a_dependency_that_nobody_hears_of_holds(world, dependency):
    world.start(probes=world.dependency_probe)
    world.deploy("v2")
    dependency.stuck.clear()
    world.application.failing["v2"] = 0.3
    assert_held(world, "dependency")
    dependency.stuck.set()


def test_a_good_dependency_is_asked_and_lets_go(world, dependency):
    world.dependency_probe["backend"]["interval"] = "1h"
    world.start(probes=world.dependency_probe)
    asked = dependency.requests
    world.release_bad()
    world.wait_active("v1")
    assert dependency.requests > asked


def test_a_tcp_dependency_counts_like_any(world):
    made = world.add(Application(lambda: "1"))
    world.start(probes={"backend": {"kind": "tcp", "targets": [f"127.0.0.1:{made.port}"], "interval": "200ms",
                                    "timeout": "200ms", "dependency": True}})
    world.deploy("v2")
    made.refuse()
    world.application.failing["v2"] = 0.3
    assert_held(world, "dependency")
    made.listen()
