"""Who is told: the policy's notices from the ledger, the operators' alerts from memory, and the service manager."""
import re
import signal

import pytest
from policies import STEPS

pytestmark = pytest.mark.sanitize


def test_a_rollback_is_delivered_signed_and_in_order(world):
    world.start()
    world.release_bad()
    notice = world.wait_notice("rollback.recovered")
    kinds = [n.type for n in world.receiver.notices if n.path == "/notify"]
    assert kinds.index("release.deployed") < kinds.index("rollback.committed") < kinds.index("rollback.recovered")
    for notice in world.receiver.notices:
        assert notice.is_signed_with(world.secrets["hook" if notice.path == "/notify" else "oncall"])
        assert notice.content_type == "application/json" and len(notice.raw) < 20 * 1024
        assert re.fullmatch(r"\d{10}", notice.timestamp)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(\d{3})?Z", notice.json["timestamp"])
        assert set(notice.json) == {"type", "timestamp", "data"}
    assert len({n.id for n in world.receiver.notices}) == len(world.receiver.notices)
    done = world.wait(lambda: not world.value("SELECT count(*) FROM rollbackd.delivery WHERE state = 'pending'"), "the deliveries")
    assert done and world.daemon.metric("rollbackd_deliveries_done_total") >= 3


def test_a_notice_is_repeated_under_the_same_id_after_a_refusal(world):
    world.receiver.answers["/notify"] = [503]
    world.start()
    world.deploy("v2")
    world.wait(lambda: len(world.receiver.find("release.deployed", "/notify")) >= 2, "the second attempt")
    first, second = world.receiver.find("release.deployed", "/notify")[:2]
    assert (first.status, second.status, first.id) == (503, 204, second.id)
    assert first.raw == second.raw and second.is_signed_with(world.secrets["hook"])


def test_a_refused_notice_holds_no_operation_up(world):
    world.receiver.answers["/notify"] = [500] * 50
    world.start()
    world.release_bad()
    world.wait_state("recovered")


def test_a_receiver_that_is_gone_for_good_is_given_up(world):
    world.receiver.answers["/notify"] = [410]
    world.start()
    world.deploy("v2")
    world.wait(lambda: world.rows("SELECT 1 FROM rollbackd.delivery WHERE state = 'dead'"), "the delivery to be given up")
    world.wait_alert("delivery.dead")


def test_notices_that_are_due_outlive_a_crash(world):
    world.start()
    world.proxy.catch(lambda sql: "claim_deliveries(" in sql and not sql.startswith("PREPARE"))
    world.deploy("v2")
    assert world.proxy.caught.wait(30)
    world.daemon.kill()
    world.proxy.hook = None
    world.restart()
    assert world.wait_notice("release.deployed")


def test_alerts_need_no_database(world):
    world.start()
    world.proxy.cut()
    assert world.wait_alert("ledger.down").is_signed_with(world.secrets["oncall"])
    world.proxy.open()


def test_an_alert_is_repeated_until_it_is_taken(world):
    world.receiver.answers["/oncall"] = [503]
    world.start()
    world.proxy.cut()
    world.wait(lambda: [n.status for n in world.receiver.find("ledger.down", "/oncall")][:2] == [503, 204], "the second attempt")
    assert len({n.id for n in world.receiver.find("ledger.down", "/oncall")}) == 1
    world.proxy.open()


def test_a_secret_is_read_again_on_reload(world):
    world.start()
    old = world.secrets["hook"]
    world.deploy("v2")
    assert world.wait_notice("release.deployed").is_signed_with(old)
    world.put_secret("hook", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    world.daemon.reload()
    world.deploy("v3")
    world.wait(lambda: len(world.receiver.find("release.deployed", "/notify")) == 2, "the second notice")
    last = world.receiver.find("release.deployed", "/notify")[-1]
    assert last.is_signed_with(world.secrets["hook"]) and not last.is_signed_with(old)


def test_a_rule_that_only_notifies_tells_and_does_nothing(world):
    rules = [dict(rule, response="notify") for rule in world.policy()["rules"]]
    world.start(rules=rules, rollback={"mode": "observe"})
    world.release_bad()
    notice = world.wait_alert("rule.bad")
    assert notice.data["rule"] == "errors"
    assert world.operations() == [] and world.active() == "v2"


def test_a_service_that_nothing_is_known_of_is_called_blind(world):
    world.start(unknown_after="1s", rules=world.policy()["rules"][1:])
    world.application.traffic = 0
    world.deploy("v2")
    notice = world.wait_alert("service.blind")
    assert (notice.data["version"], notice.data["since"]) == ("v2", "1 s")
    assert world.service()["health"] == "blind" and world.active() == "v2"


def test_the_service_manager_is_told(world):
    world.start()
    manager = world.daemon.manager
    world.wait(lambda: manager.count("WATCHDOG=1") >= 3, "the watchdog to be fed")
    world.wait(lambda: "1 service" in manager.status() and "ledger reachable" in manager.status(), "STATUS=")
    world.daemon.reload()
    assert any(re.fullmatch(r"MONOTONIC_USEC=\d+", m) for m in manager.messages)
    assert manager.count("STOPPING=1") == 0


def test_sigint_ends_it_like_sigterm(world):
    world.start(rollback={"steps": STEPS})
    world.daemon.expected = False
    world.daemon.signal(signal.SIGINT)
    assert world.daemon.process.wait(30) == 0
    world.restart()


def test_a_decision_is_stored_with_its_evidence(world):
    world.start()
    world.release_bad()
    evidence = world.wait_state("recovered")["evidence"]
    assert {"rule", "reading", "bad", "total", "limit", "window", "guards", "mode"} <= set(evidence)
    assert evidence["bad"] >= 5 and evidence["version"] == "v2" and "passes" in evidence["guards"]
