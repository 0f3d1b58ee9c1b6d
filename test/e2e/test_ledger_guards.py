"""The short transaction's guards and target checks, and what it writes."""
import json
import uuid

import pytest

from ledger_support import ledger, ledger_cluster, refused  # noqa: F401

STEPS = json.dumps([
    {"n": 0, "kind": "cache", "spec": {"prefix": "user:"}},
    {"n": 1, "kind": "session", "host": None, "spec": {}, "not_before_seconds": 60}])


def test_commit_writes_everything(ledger):
    ledger.start()
    ledger.call("put_subscribers", "users-api", '[{"url": "http://a"}, {"url": "http://b"}]',
                user="rollbackd")
    key = str(uuid.uuid4())
    assert ledger.commit(id=key, steps=STEPS) == ("committed", "rollback v2 -> v1", 3)
    facts = ledger.load()
    assert (facts["version"], facts["epoch"], facts["kind"]) == ("v1", 3, "rollback")
    assert facts["operation"]["id"] == key and facts["operation"]["steps"] is True
    assert facts["candidates"][0]["quarantined"] is True
    assert facts["budget_used"] == 1 and 86000 < facts["budget_free_in"] <= 86400
    assert ledger.call("generation_of", "users-api", "user", user="app") == 1
    assert ledger.value("SELECT count(*) FROM rollbackd.delivery") == 2
    assert ledger.value("SELECT count(*) FROM rollbackd.step") == 2
    assert ledger.kinds()[-1] == "rollback.committed"
    assert ledger.value("SELECT xid = (SELECT xid FROM rollbackd.event WHERE operation = o.id) "
                        "FROM rollbackd.operation o")
    assert ledger.call("active", "users-api", user="app") == "v1"


def test_replay_comes_before_every_guard(ledger):
    ledger.start()
    key = str(uuid.uuid4())
    assert ledger.commit(id=key)[0] == "committed"
    ledger.call("pin", "users-api", "1 hour", "freeze")
    assert ledger.commit(id=key) == ("replay", "committed", 3)
    assert ledger.value("SELECT count(*) FROM rollbackd.operation") == 1


def test_unknown_service_writes_nothing(ledger):
    result = ledger.commit("nobody", steps=STEPS)
    assert result == ("refused", "unknown service nobody", None)
    for table in ("operation", "step", "event", "release", "generation"):
        assert ledger.value(f"SELECT count(*) FROM rollbackd.{table}") == 0


@pytest.mark.parametrize("version, epoch", [("v1", 2), ("v2", 1), ("v2", None), (None, 2)])
def test_lost(ledger, version, epoch):
    ledger.start()
    answer = ledger.commit(expect_version=version, expect_epoch=epoch)
    assert answer == ("lost", "version v2 is active at epoch 2", 2)


def hold_budget(ledger):
    """Two automatic rollbacks within the day, the second one closed."""
    for turn in range(2):
        epoch = 2 + 2 * turn
        version = f"v{2 + turn}"
        key = str(uuid.uuid4())
        assert ledger.commit(id=key, expect_version=version, expect_epoch=epoch)[0] == "committed"
        ledger.call("move_operation", key, "recovered", user="rollbackd")
        ledger.call("deploy", "users-api", f"v{3 + turn}", user="ci")
    return {"expect_version": "v4", "expect_epoch": 6}


def hold_cooldown(ledger):
    ledger.call("record_event", "users-api", "rollback.would", None, "rollbackd", "{}",
                user="rollbackd")


def hold_depth(ledger):
    key = str(uuid.uuid4())
    ledger.commit(id=key, budget_count=9)
    ledger.call("move_operation", key, "recovered", user="rollbackd")
    ledger.call("deploy", "users-api", "v5", user="ci")
    ledger.call("unban", "users-api", "v2")
    ledger.call("move_operation", ledger.call("rollback", "users-api", "bad"), "failed",
                user="rollbackd")
    ledger.call("unban", "users-api", "v5")
    return {"expect_version": "v1", "expect_epoch": 5, "target": "v5", "cooldown": None}


GUARDS = {
    "pause": lambda l: l.call("pause", "users-api", "1 hour", "party"),
    "pause: automatic": lambda l: l.call("deploy", "users-api", "v2", force=True),
    "pin": lambda l: l.call("pin", "users-api", "1 hour", "freeze"),
    "deploying": lambda l: l.call("deploy", "users-api", "v2", rolling=True),
    "cooldown": hold_cooldown,
    "budget": hold_budget,
    "depth": hold_depth,
    "no target: version v1 is banned": lambda l: l.call("ban", "users-api", "v1", "CVE"),
    "no target: version v9": lambda l: {"target": "v9"},
    "no target: version v2 is the active": lambda l: {"target": "v2"},
    "barrier": lambda l: l.call("deploy", "users-api", "v2", barrier=True),
}


@pytest.mark.parametrize("words", GUARDS)
def test_guard_holds_an_automatic_rollback(ledger, words):
    ledger.start()
    changes = GUARDS[words](ledger)
    epoch = ledger.load()["epoch"]
    arguments = {"expect_epoch": epoch, **(changes if isinstance(changes, dict) else {})}
    before = ledger.value("SELECT count(*) FROM rollbackd.operation")
    result, detail, _ = ledger.commit(**arguments)
    assert result == "refused" and detail.startswith(words), detail
    assert ledger.load()["epoch"] == epoch
    assert ledger.value("SELECT count(*) FROM rollbackd.operation") == before


def test_an_open_operation_holds(ledger):
    ledger.start()
    ledger.call("rollback", "users-api", "by hand")
    # The pointer is moved without an API call: only so can an operation be open under a deploy.
    ledger.rows("UPDATE rollbackd.release SET kind = 'deploy' WHERE epoch = 3")
    ledger.rows("UPDATE rollbackd.version SET quarantined_until = NULL")
    answer = ledger.commit(expect_version="v1", expect_epoch=3, target="v2")
    assert answer[0] == "refused" and answer[1].startswith("operation: ")


def test_schema_range(ledger):
    ledger.call("register", "users-api", "v0")
    ledger.call("deploy", "users-api", "v1", schema_min=1, schema_max=3)
    ledger.call("deploy", "users-api", "v2", schema_min=3, schema_max=5)
    assert ledger.load()["candidates"][0]["schema_fits"] is True
    ledger.call("deploy", "users-api", "v3", schema_min=4)
    candidates = {c["version"]: c for c in ledger.load()["candidates"]}
    assert candidates["v1"]["schema_fits"] is False and candidates["v2"]["schema_fits"] is True
    assert candidates["v0"]["schema_fits"] is True
    result, detail, _ = ledger.commit(expect_version="v3", expect_epoch=4)
    assert result == "refused"
    assert detail.startswith("schema: version v1 lives with schemas up to 3")
    assert ledger.commit(expect_version="v3", expect_epoch=4, target="v2")[0] == "committed"


def test_a_barrier_itself_can_be_a_target(ledger):
    ledger.call("register", "users-api", "v1", True, "good")
    ledger.call("deploy", "users-api", "v2", barrier=True)
    ledger.call("deploy", "users-api", "v3")
    candidates = {c["version"]: c["behind_barrier"] for c in ledger.load()["candidates"]}
    assert candidates == {"v1": True, "v2": False}
    assert ledger.commit(expect_version="v3", expect_epoch=3, target="v2")[0] == "committed"


def test_a_quarantined_version_is_no_target_and_not_deployed(ledger):
    ledger.start()
    key = str(uuid.uuid4())
    ledger.commit(id=key)
    ledger.call("move_operation", key, "recovered", user="rollbackd")
    error = refused("RB006", ledger.call, "deploy", "users-api", "v2", user="ci")
    assert "errors above 5%" in error.diag.message_detail
    ledger.call("deploy", "users-api", "v3", user="ci")
    result, detail, _ = ledger.commit(expect_version="v3", expect_epoch=4, target="v2",
                                      automatic=False)
    assert result == "refused" and detail.startswith("no target: version v2 is quarantined")
    ledger.call("deploy", "users-api", "v2", force=True)
    assert ledger.load()["automatic"] is False
    ledger.call("mark_stable", "users-api", "v2", "watched it for a day")
    assert ledger.load()["automatic"] is True and ledger.load()["stable"] is True


def test_a_rollback_revokes_the_stable_mark(ledger):
    ledger.start()
    assert ledger.call("earn_stable", "users-api", 2, user="rollbackd") is True
    assert ledger.call("earn_stable", "users-api", 2, user="rollbackd") is False
    assert ledger.load()["stable"] is True
    ledger.commit()
    assert ledger.load()["candidates"][0]["stable"] is False
    assert ledger.value("SELECT stable_at FROM rollbackd.history WHERE epoch = 2") is None
    assert ledger.call("earn_stable", "users-api", 2, user="rollbackd") is False


def test_not_recovered_acquits_the_release(ledger):
    ledger.start()
    key = str(uuid.uuid4())
    ledger.commit(id=key)
    ledger.call("move_operation", key, "verifying", user="rollbackd")
    assert ledger.call("move_operation", key, "not_recovered", "still bad", user="rollbackd")
    assert ledger.load()["candidates"][0]["quarantined"] is False
    assert ledger.kinds()[-1] == "rollback.not_recovered"
    assert 590 < ledger.load()["cooldown_left"] <= 600


def test_not_recovered_keeps_a_ban(ledger):
    ledger.start()
    ledger.call("ban", "users-api", "v2", "CVE")
    key = str(uuid.uuid4())
    ledger.commit(id=key)
    ledger.call("move_operation", key, "not_recovered", user="rollbackd")
    assert ledger.load()["candidates"][0]["quarantined"] is True


def test_moves_are_idempotent_and_never_backwards(ledger):
    ledger.start()
    key = str(uuid.uuid4())
    ledger.commit(id=key)
    move = lambda state: ledger.call("move_operation", key, state, user="rollbackd")
    assert move("verifying") and move("verifying")
    refused("RB007", move, "effecting")
    refused("RB007", move, "nonsense")
    assert move("recovered") and move("recovered")
    assert move("failed") is False
    assert ledger.kinds().count("rollback.recovered") == 1
    refused("RB001", ledger.call, "move_operation", str(uuid.uuid4()), "failed", user="rollbackd")


def test_a_deploy_ends_the_cooldown(ledger):
    ledger.start()
    hold_cooldown(ledger)
    assert ledger.load()["cooldown_left"] > 590
    ledger.call("deploy", "users-api", "v3", user="ci")
    assert ledger.load()["cooldown_left"] == 0


def test_an_old_automatic_rollback_leaves_the_budget(ledger):
    ledger.start()
    changes = hold_budget(ledger)
    assert ledger.commit(**changes)[1].startswith("budget: 2 of 2")
    ledger.rows("UPDATE rollbackd.operation SET opened_at = opened_at - interval '2 days' "
                "WHERE from_epoch = 2")
    assert ledger.load()["budget_used"] == 1
    assert ledger.commit(**changes)[0] == "committed"


def test_the_last_stable_version_is_listed_however_old(ledger):
    ledger.start()
    for number in range(3, 45):
        ledger.call("deploy", "users-api", f"v{number}", user="ci")
    candidates = ledger.load()["candidates"]
    assert len(candidates) == 32
    assert candidates[-1]["version"] == "v1" and candidates[-1]["stable"] is True
    assert [c["version"] for c in candidates if c["previous"]] == ["v43"]
