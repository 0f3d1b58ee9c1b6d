"""Policy files: a bad one stops nobody else, a reload keeps what is good, others' files are refused."""
import os
import re

import pytest
from policies import text_of
from waiting import stays
from world import SERVICE

pytestmark = pytest.mark.sanitize


def unconfigured(world):
    return {u["path"].rsplit("/", 1)[1]: u for u in world.daemon.get("/api/v1/services")["unconfigured"]}


def test_a_bad_file_beside_good_ones_is_told_and_stops_nobody(world):
    world.write_policy('service = "other";\nprobes = { live = { kind = "htp"; }; };\nrulez = ();\n', "other.conf")
    world.start()
    assert list(unconfigured(world)) == ["other.conf"]
    notice = world.wait_alert("service.unconfigured")
    assert "other.conf:2: probes.live.kind" in notice.data["text"] and "and 1 more mistake" in notice.data["text"]
    assert "\n" not in notice.data["text"] and "x0a" not in notice.data["text"]
    assert world.daemon.metric("rollbackd_config_last_reload_successful") == 0
    assert world.daemon.ask(f"/api/v1/services/{SERVICE}").status == 200
    world.release_bad()
    world.wait_active("v1")


def test_a_reload_with_a_bad_file_keeps_the_old_policy(world):
    world.start()
    world.write_policy("service = \"users-api\";\nrollback = { mode = \"automatc\"; };\n", f"{SERVICE}.conf")
    world.daemon.reload()
    assert unconfigured(world)[f"{SERVICE}.conf"]["earlier_in_force"] is True
    assert world.service()["mode"] == "automatic"
    world.release_bad()
    world.wait_active("v1")
    world.write_policy(world.policy(rollback={"mode": "confirm"}))
    world.daemon.reload()
    assert not unconfigured(world) and world.service()["mode"] == "confirm"
    assert world.daemon.metric("rollbackd_config_last_reload_successful") == 1


@pytest.mark.parametrize("mode", [0o664, 0o646], ids=["group", "others"])
def test_a_file_that_others_may_write_is_refused(world, mode):
    world.start()
    world.write_policy(world.policy(service="other"), mode=mode)
    world.daemon.reload()
    assert "written by group or others" in unconfigured(world)["other.conf"]["error"]
    assert world.daemon.ask("/api/v1/services/other").status == 404


def test_a_file_of_somebody_else_is_refused(world):
    world.start()
    path = world.write_policy(world.policy(service="other"))
    if os.getuid() == 0:
        os.chown(path, 65534, -1)
    else:
        # What an ordinary user can make of somebody else's is a link to it.
        path.unlink()
        path.symlink_to("/proc/version")
    world.daemon.reload()
    assert list(unconfigured(world)) == ["other.conf"]


def test_a_removed_policy_is_watched_no_more(world):
    world.start()
    world.call("register", "other", "v1", True, "known good")
    path = world.write_policy(world.policy(service="other"))
    world.daemon.reload()
    world.wait(lambda: world.service("other")["known"], "the second service")
    path.unlink()
    world.daemon.reload()
    assert world.daemon.ask("/api/v1/services/other").status == 404
    assert world.service()["known"]


def subscribers(world):
    return [row[0] for row in world.rows("SELECT name FROM rollbackd.subscriber ORDER BY name")]


def test_a_removed_policy_takes_its_receivers_along(world):
    world.start()
    world.call("register", "other", "v1", True, "known good")
    path = world.write_policy(world.policy(service="other", notify=[{"kind": "webhook", "url": f"{world.receiver.url}/other"}]))
    world.daemon.reload()
    world.wait(lambda: "policy:other:1" in subscribers(world), "the second policy's receiver")
    world.receiver.answers["/other"] = [500] * 50
    world.call("deploy", "other", "v2", user="ci")
    world.wait(lambda: world.receiver.find("release.deployed", "/other"), "a notice that is refused")
    # Refused is not gone: the last good policy stays in force, and its receivers with it.
    path.write_text("service = \"other\";\nnonsense = 1;\n")
    world.daemon.reload()
    assert list(unconfigured(world)) == ["other.conf"]
    path.unlink()
    world.proxy.cut()
    world.wait(lambda: world.daemon.metric("rollbackd_ledger_up") == 0, "the loss to be noticed")
    assert "policy:other:1" in subscribers(world)
    world.daemon.reload()
    world.proxy.open()
    world.wait(lambda: "policy:other:1" not in subscribers(world), "the receiver to go")
    assert subscribers(world) == [f"policy:{SERVICE}:1"]
    assert world.rows("SELECT DISTINCT state, error FROM rollbackd.delivery WHERE subscriber = 'policy:other:1'") == \
        [("dead", "the subscriber was removed from the policy")]
    world.call("deploy", "other", "v3", user="ci")
    assert world.value("SELECT count(*) FROM rollbackd.delivery WHERE subscriber = 'policy:other:1' AND state <> 'dead'") == 0


def total(world):
    return next(r for r in world.service()["rules"] if r["name"] == "errors")["total"]


def test_an_unchanged_probe_keeps_its_window_over_a_reload(world):
    rules = world.policy()["rules"]
    rules[1] = {**rules[1], "over": "60s"}
    world.start(rules=rules)
    world.deploy("v2")
    world.wait(lambda: total(world) >= 500, "samples in the window")
    before = total(world)
    rules[0] = {**rules[0], "hold": "2s"}
    world.write_policy(world.policy(rules=rules))
    world.daemon.reload()
    assert world.service()["rules"][0]["hold_seconds"] == 2
    assert total(world) >= before


def test_a_changed_probe_starts_its_window_anew(world):
    rules = world.policy()["rules"]
    rules[1] = {**rules[1], "over": "60s"}
    world.start(rules=rules)
    world.deploy("v2")
    world.wait(lambda: total(world) >= 1000, "samples in the window")
    signals = {"errors": {**world.policy()["signals"]["errors"], "bad": 'http_requests_total{code="500"}'}}
    world.write_policy(world.policy(rules=rules, signals=signals))
    before = total(world)
    world.daemon.reload()
    assert total(world) < before


def test_a_changed_rollbackd_conf_is_told_and_waits_for_a_restart(world):
    world.start()
    world.daemon.conf.write_text(world.daemon.conf.read_text() + "# a comment changes nothing\n")
    world.daemon.reload()
    assert "takes effect at the next start" not in world.daemon.log()
    text = world.daemon.conf.read_text()
    world.daemon.conf.write_text(re.sub('"/oncall|/oncall', "/elsewhere", text))
    world.daemon.reload()
    assert "takes effect at the next start" in world.daemon.log()
    world.daemon.conf.write_text(text + "nonsense = 1;\n")
    world.daemon.reload()
    assert "nonsense: unknown key" in world.daemon.log()
    stays(lambda: world.daemon.ask("/readyz").status == 200, "ready", 0.3)


def test_two_files_for_one_service_are_both_told(world):
    world.start()
    world.write_policy(text_of(world.policy(rollback={"mode": "observe"})), "again.conf")
    world.daemon.reload()
    assert unconfigured(world), "which of the two is in force?"
    assert SERVICE in str(unconfigured(world))
