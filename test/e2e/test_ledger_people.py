"""The verbs for people: what they do, what they refuse, and that they work without a daemon."""
import uuid

import pytest

from ledger_support import ledger, ledger_cluster, refused  # noqa: F401
from waiting import wait_until

SERVICE = "users-api"


def test_register_and_deploy(ledger):
    assert ledger.start() == 2
    refused("RB007", ledger.call, "register", SERVICE, "v1")
    refused("RB005", ledger.call, "register", "other", "v1", True)
    refused("RB001", ledger.call, "deploy", "other", "v1")
    refused("RB003", ledger.call, "deploy", SERVICE, "v3", expect_epoch=1)
    assert ledger.call("deploy", SERVICE, "v3", expect_epoch=2) == 3
    assert ledger.kinds() == ["release.registered", "release.deployed", "release.deployed"]


@pytest.mark.parametrize("deploy, words, level", [
    ({}, "would go to v1", "NOTICE"), ({"barrier": True}, "has no target", "WARNING")])
def test_deploy_says_whether_there_is_a_target(ledger, deploy, words, level):
    ledger.call("register", SERVICE, "v1", True, "good")
    notices = []
    ledger.as_role("ci").add_notice_handler(
        lambda n: notices.append((n.severity, n.message_primary)))
    ledger.call("deploy", SERVICE, "v2", user="ci", **deploy)
    assert notices[-1][0] == level and words in notices[-1][1]
    fields = ledger.value("SELECT fields FROM rollbackd.recent_event ORDER BY seq DESC LIMIT 1")
    assert fields["last_stable"] == (None if deploy else "v1")


def test_deploy_notifies_followers(ledger):
    payloads = []
    follower = ledger.connect("app")
    follower.add_notify_handler(lambda notice: payloads.append(notice.payload))
    follower.execute("LISTEN rollbackd")
    ledger.start()
    ledger.commit()

    def all_heard():
        follower.execute("SELECT 1")
        return len(payloads) >= 3

    wait_until(all_heard, "three notifications")
    assert payloads == [f"{SERVICE} {epoch}" for epoch in (1, 2, 3)]


def test_rolling_deploy(ledger):
    ledger.start()
    assert ledger.call("deploy", SERVICE, "v3", rolling=True, user="ci") == 3
    assert ledger.load()["deploying"] is True and ledger.load()["version"] == "v3"
    refused("RB003", ledger.call, "deploy_done", SERVICE, 2, user="ci")
    ledger.call("deploy_done", SERVICE, 3, user="ci")
    assert ledger.load()["deploying"] is False
    refused("RB007", ledger.call, "deploy_done", SERVICE, 3, user="ci")


def test_a_rolling_deploy_expires(ledger):
    ledger.start()
    ledger.call("deploy", SERVICE, "v3", rolling=True, rolling_for="1 microsecond")
    assert ledger.load()["deploying"] is False
    refused("RB005", ledger.call, "deploy", SERVICE, "v4", rolling=True, rolling_for="2 days")
    refused("RB005", ledger.call, "deploy", SERVICE, "v4", rolling_for="-1 s")


def test_pin_and_pause(ledger):
    ledger.start()
    ledger.call("pin", SERVICE, "1 hour", "audit")
    assert 3500 < ledger.load()["pinned_left"] <= 3600
    assert "audit" in refused("RB002", ledger.call, "deploy", SERVICE, "v3").diag.message_detail
    refused("RB002", ledger.call, "rollback", SERVICE, "bad")
    ledger.call("unpin", SERVICE)
    refused("RB007", ledger.call, "unpin", SERVICE)
    ledger.call("pause", SERVICE, reason="party", duration="2 hours")
    assert 7100 < ledger.load()["paused_left"] <= 7200
    ledger.call("deploy", SERVICE, "v3")
    ledger.call("resume", SERVICE)
    assert ledger.load()["paused_left"] == 0
    before = ledger.load()["resumes"]
    ledger.call("resume", SERVICE)  # nothing to end: the daemon tries again what had failed
    assert ledger.load()["resumes"] == before + 1


@pytest.mark.parametrize("verb", ["pin", "pause"])
@pytest.mark.parametrize("arguments", [
    {"reason": "x"}, {"duration": "1 hour"}, {"duration": "1 hour", "reason": "  "},
    {"duration": "-1 hour", "reason": "x"}, {"duration": "91 days", "reason": "x"},
    {"until": "infinity", "reason": "x"}, {"until": "2001-01-01", "reason": "x"},
    {"until": "2001-01-01", "duration": "1 hour", "reason": "x"}])
def test_pin_and_pause_always_expire_and_have_a_reason(ledger, verb, arguments):
    ledger.start()
    refused("RB005", ledger.call, verb, SERVICE, **arguments)


@pytest.mark.parametrize("verb, left", [("pin", "pinned_left"), ("pause", "paused_left")])
def test_nothing_is_held_for_ever(ledger, verb, left):
    ledger.start()
    for far in ({"until": "infinity"}, {"until": "-infinity"}, {"duration": "91 days"},
                {"duration": "170000000 years"}, {"until": "294276-01-01"}):
        error = refused("RB005", ledger.call, verb, SERVICE, reason="x", **far)
        assert "within the next 90 days" in str(error), far
        assert ledger.load()[left] == 0
    ledger.call(verb, SERVICE, "89 days", "a long audit")
    assert 88 * 86400 < ledger.load()[left] <= 89 * 86400
    # Not even by hand: the daemon's facts are finite numbers.
    column = f"{verb}ned_until" if verb == "pin" else f"{verb}d_until"
    refused("23514", ledger.rows, f"UPDATE rollbackd.service SET {column} = 'infinity'")


def test_ban(ledger):
    ledger.start()
    ledger.call("ban", SERVICE, "v3", "CVE")
    refused("RB006", ledger.call, "deploy", SERVICE, "v3")
    refused("RB005", ledger.call, "ban", SERVICE, "v3", "CVE", "2001-01-01")
    ledger.call("unban", SERVICE, "v3", "patched")
    refused("RB007", ledger.call, "unban", SERVICE, "v3")
    assert ledger.call("deploy", SERVICE, "v3") == 3
    ledger.call("ban", SERVICE, "v1", "CVE")
    refused("RB006", ledger.call, "mark_stable", SERVICE, "v1", "sure")
    refused("RB004", ledger.call, "rollback", SERVICE, "bad")


def test_a_ban_outlives_a_forced_deploy(ledger):
    ledger.start()
    ledger.call("ban", SERVICE, "v3", "CVE")
    ledger.call("deploy", SERVICE, "v3", force=True)
    assert ledger.call("earn_stable", SERVICE, 3, user="rollbackd") is False
    ledger.call("deploy", SERVICE, "v4")
    assert ledger.load()["candidates"][0]["quarantined"] is True


def test_break_glass_rollback_and_adoption(ledger):
    ledger.start()
    key = str(ledger.call("rollback", SERVICE, "users complain"))
    facts = ledger.load()
    assert (facts["version"], facts["epoch"], facts["kind"]) == ("v1", 3, "rollback")
    assert facts["operation"]["steps"] is False and facts["operation"]["automatic"] is False
    steps = '[{"n": 0, "kind": "sql", "spec": {"s": 1}, "atomic": true}, {"n": 1, "kind": "cache"}]'
    adopt = lambda: ledger.call("adopt_operation", key, steps, "hash", user="rollbackd")
    assert (adopt(), adopt()) == (2, 0)
    specs = ledger.rows("SELECT spec, atomic FROM rollbackd.step ORDER BY n")
    assert specs == [({"s": 1, "after_commit": True}, True), ({}, False)]
    assert ledger.value("SELECT actor FROM rollbackd.operation") == "alice"


def test_an_operation_with_a_policy_is_not_adopted(ledger):
    ledger.start()
    key = str(uuid.uuid4())
    ledger.commit(id=key)
    assert ledger.call("adopt_operation", key, '[{"n": 0, "kind": "cache"}]', "hash",
                       user="rollbackd") == 0


def test_rollback_names_its_target(ledger):
    ledger.call("register", SERVICE, "v1")
    ledger.call("deploy", SERVICE, "v2")
    error = refused("RB004", ledger.call, "rollback", SERVICE, "bad")
    assert "newest admissible one is v1" in error.diag.message_detail
    refused("RB004", ledger.call, "rollback", SERVICE, "bad", to="v7")
    ledger.call("rollback", SERVICE, "bad", to="v1")
    assert ledger.call("active", SERVICE) == "v1"


def test_restore_turns_automation_off_until_resume(ledger):
    ledger.start()
    refused("RB007", ledger.call, "restore", SERVICE, "false alarm")
    ledger.commit()
    ledger.call("restore", SERVICE, "false alarm")
    facts = ledger.load()
    assert (facts["version"], facts["kind"], facts["automatic"]) == ("v2", "restore", False)
    assert facts["candidates"] == [{"version": "v1", "epoch": 3, "stable": True, "previous": True,
                                    "quarantined": False, "schema_fits": True,
                                    "behind_barrier": False}]
    assert ledger.kinds()[-2:] == ["rollback.superseded", "restore.committed"]
    ledger.call("resume", SERVICE)
    assert ledger.load()["automatic"] is True


def test_a_new_deploy_is_automatic_again(ledger):
    ledger.start()
    ledger.commit()
    ledger.call("restore", SERVICE, "false alarm")
    ledger.call("deploy", SERVICE, "v3")
    assert ledger.load()["automatic"] is True


@pytest.mark.parametrize("act", [("deploy", SERVICE, "v3"), ("restore", SERVICE, "no"),
                                 ("rollback", SERVICE, "further", "v0")])
def test_a_person_supersedes_an_open_operation(ledger, act):
    ledger.call("register", SERVICE, "v0", True, "old")
    ledger.call("deploy", SERVICE, "v1")
    ledger.call("deploy", SERVICE, "v2")
    key = str(uuid.uuid4())
    assert ledger.commit(id=key, expect_epoch=3)[0] == "committed"
    ledger.call(*act)
    row = ledger.rows("SELECT state, closed_at IS NULL, detail FROM rollbackd.operation_status "
                      "WHERE id = %s", key)[0]
    assert row == ("superseded", False, f"superseded by a {act[0]} of alice")
    assert ledger.call("move_operation", key, "recovered", user="rollbackd") is False
    assert "rollback.superseded" in ledger.kinds()


def test_version_for(ledger):
    ledger.call("register", SERVICE, "v1")
    ledger.call("deploy", SERVICE, "v2", api_version="2")
    ledger.call("deploy", SERVICE, "v3", api_version="2")
    ledger.call("deploy", SERVICE, "v4", api_version="4")
    ask = lambda requested: ledger.call("version_for", SERVICE, requested, user="app")
    assert [ask(r) for r in ("v1", "2", "v2", "4", "9", None)] == [
        "v1", "v3", "v2", "v4", "v4", "v4"]
    ledger.call("ban", SERVICE, "v3", "CVE")
    assert ask("2") == "v4" and ask("v3") == "v4"
    refused("RB001", ledger.call, "version_for", "nobody", "v1", user="app")
    refused("RB001", ledger.call, "active", "nobody", user="app")


def test_ack(ledger):
    ledger.start()
    key = str(uuid.uuid4())
    ledger.commit(id=key)
    ledger.call("ack", key, False, "deploy of the load balancer")
    assert ledger.rows("SELECT label, label_note, label_by FROM rollbackd.operation") == [
        (False, "deploy of the load balancer", "alice")]
    would = str(uuid.uuid4())
    ledger.call("record_event", SERVICE, "rollback.would", None, "rollbackd", "{}", would,
                user="rollbackd")
    ledger.call("ack", would, True)
    assert ledger.kinds().count("operation.acknowledged") == 2
    refused("RB001", ledger.call, "ack", str(uuid.uuid4()), True)
    refused("RB005", ledger.call, "ack", "12", True)
    refused("RB005", ledger.call, "ack", key, None)


@pytest.mark.parametrize("name", ["", " v1", "-v1", "a" * 64, "v1;drop", "v\n1", "é", None])
def test_bad_names(ledger, name):
    ledger.call("register", "good", "v1")
    refused("RB005", ledger.call, "register", name, "v1")
    refused("RB005", ledger.call, "register", "other", name)
    refused("RB005", ledger.call, "deploy", "good", name)
    refused("RB005", ledger.call, "pin", name, "1 hour", "x")


def test_good_names(ledger):
    for name in ("a", "2024.01.31-rc.1+build_7", "9" * 63):
        ledger.call("register", name, name)
        assert ledger.call("active", name, user="app") == name


@pytest.mark.parametrize("key, most", [
    ("code_ref", 200), ("api_version", 63), ("artefact", 1000), ("actor", 200), ("source", 200),
    ("note", 1000)])
def test_texts_have_limits(ledger, key, most):
    ledger.start()
    ledger.call("deploy", SERVICE, "v3", **{key: "é" * most})
    error = refused("RB005", ledger.call, "deploy", SERVICE, "v4", **{key: "é" * (most + 1)})
    assert f"{key} has {most + 1} characters" in str(error)


def test_reasons_and_evidence_have_limits(ledger):
    ledger.start()
    refused("RB005", ledger.call, "rollback", SERVICE, "x" * 1001)
    refused("RB005", ledger.call, "deploy", SERVICE, "v3", schema_min=2, schema_max=1)
    refused("23514", ledger.commit, evidence='{"x": "%s"}' % ("y" * 65536))
    refused("23514", ledger.commit, reason="x" * 1001)
    refused("23514", ledger.commit, steps='[{"n": 256, "kind": "cache"}]')
    refused("23514", ledger.commit, steps='[{"n": 0, "kind": "No Kind"}]')
    refused("23514", ledger.commit, generations=["bad name"])
    assert ledger.load()["epoch"] == 2
    assert ledger.commit(evidence='{"x": "%s"}' % ("y" * 65000))[0] == "committed"


def test_events_are_append_only(ledger):
    ledger.start()
    for statement in ("UPDATE rollbackd.event SET actor = 'x'", "DELETE FROM rollbackd.event",
                      "TRUNCATE rollbackd.event CASCADE"):
        refused("RB007", ledger.rows, statement)
    assert len(ledger.kinds()) == 2


def test_views(ledger):
    ledger.start()
    ledger.commit()
    status = ledger.rows("SELECT service, version, epoch, kind, last_stable, operation_state "
                         "FROM rollbackd.service_status", user="app")
    assert status == [(SERVICE, "v1", 3, "rollback", None, "committed")]
    history = ledger.rows("SELECT epoch, version, kind, until IS NULL, operation_state "
                          "FROM rollbackd.history ORDER BY epoch", user="app")
    assert history == [(1, "v1", "register", False, None), (2, "v2", "deploy", False, None),
                       (3, "v1", "rollback", True, "committed")]
    assert ledger.rows("SELECT version, oldest_daemon FROM rollbackd.schema", user="rollbackd") == [
        (2, 1)]


def test_an_unsettled_event_holds_a_cursor_back(ledger):
    ledger.start()
    ledger.call("register", "other", "v1")
    slow = ledger.connect("alice", autocommit=False)
    slow.execute("SELECT rollbackd.pause('other', '1 hour', 'x')")
    ledger.call("pause", SERVICE, "1 hour", "x")
    settled = lambda: [r[0] for r in ledger.rows(
        "SELECT settled FROM rollbackd.recent_event ORDER BY seq DESC LIMIT 2")]
    assert settled() == [False, True]
    slow.commit()
    assert settled() == [True, True]
