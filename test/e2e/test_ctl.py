"""rollbackctl as people and scripts use it: verbs, exit codes, --json, and check --db."""
import datetime
import json
import os
import re
import subprocess

import pytest
from policies import STEPS
from supervisor import BUILD, ROOT
from world import SERVICE, run_ctl


def test_a_release_by_command_line(world):
    def ctl(*words, user="ci"):
        done = world.ctl(*words, user=user)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()
    assert ctl("register", SERVICE, "v1", "--stable", "--reason", "known good") == "1"
    world.start()
    assert ctl("deploy", SERVICE, "v2", "--expect-epoch", "1", "--note", "it's; DROP TABLE users--") == "2"
    assert ctl("active", SERVICE, user="app") == "v2"
    assert ctl("mark-stable", SERVICE, "v2", "--reason", "watched it", user="alice") == ""
    assert ctl("pause", SERVICE, "--for", "2h", "--reason", "a test", user="alice").startswith("20")
    world.wait(lambda: world.guard("pause") == "holds", "the pause")
    ctl("resume", SERVICE, user="alice")
    ctl("pin", SERVICE, "--for", "1h", "--reason", "a test", user="alice")
    assert world.ctl("deploy", SERVICE, "v3", user="ci").returncode == 4
    ctl("unpin", SERVICE, user="alice")
    ctl("ban", SERVICE, "v1", "--reason", "a hole", user="alice")
    ctl("unban", SERVICE, "v1", user="alice")
    epoch = ctl("deploy", SERVICE, "v3", "--rolling")
    world.wait(lambda: world.guard("deploying") == "holds", "the rolling deploy")
    ctl("deploy-done", SERVICE, epoch)
    world.wait(lambda: world.guard("deploying") == "passes", "its end")
    epoch = ctl("deploy", SERVICE, "v4", "--rolling-for", "3h", "--actor", "alice for ticket 7")
    assert world.rows("SELECT actor, fields ->> 'login', fields ->> 'rolling' FROM rollbackd.event WHERE kind = 'release.deployed' "
                      "AND fields ->> 'epoch' = %s", epoch) == [("alice for ticket 7", "ci", "true")]
    assert world.value("SELECT actor FROM rollbackd.history WHERE epoch = %s", epoch) == "alice for ticket 7"
    assert world.value("SELECT deploying_until - released_at FROM rollbackd.service_status") == datetime.timedelta(hours=3)
    done = world.ctl("deploy", SERVICE, "v5", "--rolling-for", "25h", user="ci")
    assert done.returncode == 4 and "24" in done.stderr, done
    assert world.value("SELECT note FROM rollbackd.history WHERE epoch = 2") == "it's; DROP TABLE users--"


def test_status_explain_history_and_events(world):
    world.start()
    world.release_bad()
    key = str(world.wait_state("recovered")["id"])
    world.wait(lambda: [o for o in world.daemon.get("/api/v1/operations")["operations"] if o["state"] == "recovered"],
               "the closed operation in the list")
    status = world.ctl("status")
    assert status.returncode == 0 and SERVICE in status.stdout and "v1" in status.stdout
    for words, wanted in ((["status", SERVICE], "v1"), (["explain", SERVICE], "errors"), (["explain", key], "dispersion 1; lower bound"),
                          (["history"], "recovered"), (["events"], "rollback.committed")):
        done = world.ctl(*words)
        assert done.returncode == 0 and wanted in done.stdout, (words, done.stdout, done.stderr)
    for words in (["status"], ["status", SERVICE], ["explain", SERVICE], ["explain", key], ["history"],
                  ["events", "--service", SERVICE, "--limit", "3"]):
        assert isinstance(world.ctl_json(*words), dict)
    assert world.ctl_json("active", SERVICE, user="app")["result"] == "v1"
    assert world.ctl_json("ack", key, "--true", user="alice")["result"] is None


def test_explain_says_each_thing_once_and_nothing_empty(world):
    def explain(what):
        done = world.ctl("explain", what)
        assert done.returncode == 0, done.stderr
        return done.stdout
    world.start()
    world.deploy("v2")
    world.wait(lambda: "1 target down" in explain(SERVICE), "the rule down to be read")
    now = explain(SERVICE)
    assert len(re.findall("^  target  ", now, re.M)) == 1 and "\nrule down: " in now, now
    assert "dispersion 0" not in now and not re.search("^  reason ", now, re.M), now
    world.manual.add(2)
    assert world.ctl("rollback", SERVICE, "--reason", "complaints", "--yes").returncode == 0
    key = str(world.wait_state("recovered")["id"])
    world.wait(lambda: world.ctl("explain", key).returncode == 0 and ": recovered" in explain(key), "the closed operation")
    by_hand = explain(key)
    assert by_hand.count("complaints") == 1 and re.search("^  guards +ledger passes", by_hand, re.M), by_hand
    assert not re.search("^(rule|  (why|bad for|of hold|targets|target) )", by_hand, re.M), by_hand


def test_rollback_and_restore_by_command_line(world):
    world.start(rollback={"mode": "observe"})
    world.deploy("v2")
    world.wait(lambda: world.service()["epoch"] == 2, "the deploy to be seen")
    assert world.ctl("rollback", SERVICE, "--yes").returncode == 2
    assert world.ctl("rollback", SERVICE, "--reason", "complaints").returncode == 2
    world.manual.add(2)
    assert world.ctl("rollback", SERVICE, "--reason", "complaints", "--yes", "--epoch", "1").returncode == 4
    assert world.ctl("rollback", SERVICE, "--reason", "complaints", "--yes", "--epoch", "2").returncode == 0
    world.wait_state("recovered")
    world.manual.add(3)
    assert "operation" in world.ctl_json("restore", SERVICE, "--reason", "it was the network", "--yes")
    world.wait_active("v2")


def test_what_is_older_than_the_lists_is_still_explained(world):
    world.start()
    world.release_bad()
    operation = world.wait_state("recovered")
    event = world.value("SELECT id FROM rollbackd.event WHERE kind = 'release.deployed'")
    # More of both than the lists hold.
    world.rows("SELECT rollbackd.pause(%s, interval '1 second', 'n ' || n) FROM generate_series(1, 210) n", SERVICE)
    world.rows("""INSERT INTO rollbackd.operation (id, service, kind, automatic, from_epoch, to_epoch, from_version, to_version, state,
                      evidence, actor, reason, xid, opened_at, closed_at)
                  SELECT gen_random_uuid(), service, kind, false, from_epoch, 1000 + n, from_version, to_version, state,
                         '{}', 'alice', 'many', xid, now(), now() FROM rollbackd.operation, generate_series(1, 101) n""")
    world.rows("SELECT pg_notify('rollbackd', %s)", SERVICE + " 3")
    def newest(name):
        return [entry["id"] for entry in world.daemon.get(f"/api/v1/{name}?limit=1000")[name]]
    world.wait(lambda: str(operation["id"]) not in newest("operations") and str(event) not in newest("events"), "fuller lists")
    assert len(newest("operations")) == 100 and len(newest("events")) == 200
    done = world.ctl("explain", operation["id"])
    assert done.returncode == 0 and "rollback v2 -> v1" in done.stdout and "errors" in done.stdout, done
    done = world.ctl("explain", event)
    assert done.returncode == 0 and "event release.deployed" in done.stdout, done
    world.proxy.cut()
    world.wait(lambda: world.daemon.metric("rollbackd_ledger_up") == 0, "the loss to be noticed")
    done = world.ctl("explain", operation["id"])
    assert done.returncode == 3 and "could not be asked" in done.stderr, done
    assert world.ctl("explain", newest("operations")[0]).returncode == 0
    world.proxy.open()
    world.wait(lambda: world.ctl("explain", operation["id"]).returncode == 0, "the ledger to be asked again")
    # No pointer ever moved by them.
    world.rows("DELETE FROM rollbackd.operation WHERE reason = 'many'")


def test_exit_codes(world):
    world.start()
    cases = [
        (0, run_ctl("help")), (0, run_ctl("--version")), (2, run_ctl()), (2, run_ctl("nonsense")),
        (2, run_ctl("status", "--nonsense")), (2, world.ctl("ack", "x", "--true", "--false", user="alice")),
        (2, world.ctl("pause", SERVICE, user="alice")),
        (3, run_ctl("status", "--socket", world.root / "nobody.sock")),
        (3, run_ctl("active", SERVICE, "--conninfo", f"host={world.root} user=app dbname=x")),
        (4, world.ctl("deploy", SERVICE, "v2", "--expect-epoch", "7", user="ci")),
        (4, world.ctl("restore", SERVICE, "--reason", "x", "--yes")),
        (5, world.ctl("status", "nobody")), (5, world.ctl("active", "nobody", user="app")),
        (5, world.ctl("explain", "00000000-0000-4000-8000-000000000000")),
        (5, world.ctl("ack", "00000000-0000-4000-8000-000000000000", "--true", user="alice")),
        (7, world.ctl("ban", SERVICE, "v1", "--reason", "x", user="ci")),
        (7, world.ctl("register", "mine", "v1", user="app"))]
    for code, done in cases:
        assert done.returncode == code, (done.args, done.returncode, done.stderr)
        assert code == 0 or (done.stderr and not done.stdout), done.args


def test_a_missing_right_is_told_with_the_grant(world):
    for verb, role in ((("pause", SERVICE, "--for", "1h", "--reason", "x"), "rollbackd_operator"), (("deploy", SERVICE, "v2"), "rollbackd_deployer")):
        done = world.ctl(*verb, user="app")
        assert done.returncode == 7 and f"type: GRANT {role} TO app;" in done.stderr, done.stderr
    done = run_ctl("db", "migrate", "--directory", ROOT / "sql", "--conninfo", f"host={world.cluster.root} dbname={world.database} user=alice")
    assert done.returncode == 7 and "runuser -u postgres -- rollbackctl db migrate" in done.stderr, done.stderr


def test_a_time_that_cannot_be_read_is_the_command_lines_mistake(world):
    done = world.ctl("ban", SERVICE, "v1", "--reason", "x", "--until", "next year-ish", user="alice")
    assert done.returncode == 2 and "--until: " in done.stderr and "tomorrow 18:00" in done.stderr, done.stderr


def test_help_stands_in_columns_and_names_what_options_take():
    rows = [row for row in run_ctl("help").stdout.split("Verbs:\n")[1].split("\n\n")[0].splitlines()]
    assert len(rows) > 20 and all(row[34] == " " and row[35] != " " for row in rows), rows
    said = run_ctl("help", "pause").stdout
    assert "[--for DURATION]" in said and "--reason TEXT " in said and "[--json]" in said and " X]" not in said
    done = run_ctl("db")
    assert done.returncode == 2 and all(verb in done.stderr for verb in ("db init", "db migrate", "db prune"))


def test_lists_stand_in_columns(world):
    """Whatever the length of a time or a name is."""
    world.start()
    world.deploy("v2")
    world.call("pause", SERVICE, "1 hour", "x", user="alice")
    world.wait(lambda: "service.paused" in world.ctl("events").stdout, "the events in the list")
    rows = world.ctl("events").stdout.splitlines()
    assert len(rows) > 2 and len({row.index(SERVICE) for row in rows}) == 1, rows
    assert len({row.index(" by ") for row in rows}) == 1 and len({row.rindex(" ") for row in rows}) == 1, rows


def test_check_and_its_exit_codes(world):
    path = world.write_policy()
    assert world.ctl("check").returncode == 0
    bad = world.write_policy(world.policy(service="other", rollback={"mode": "automatc"}))
    done = world.ctl("check")
    assert done.returncode == 1 and f"{path}: good" in done.stdout and "rollback.mode" in done.stderr
    assert run_ctl("check", path).returncode == 0 and run_ctl("check", bad).returncode == 1
    conf = world.daemon.conf
    for mode, code in (("--check", 78), ("--dump-config", 78)):
        assert os.spawnv(os.P_WAIT, BUILD / "rollbackd", ["rollbackd", "--config", str(conf), mode]) == code
    bad.unlink()
    assert os.spawnv(os.P_WAIT, BUILD / "rollbackd", ["rollbackd", "--config", str(conf), "--check"]) == 0
    conf.write_text("nonsense = 1;\n")
    assert os.spawnv(os.P_WAIT, BUILD / "rollbackd", ["rollbackd", "--config", str(conf), "--foreground"]) == 78


def test_check_db_names_the_missing_grant(world):
    world.write_policy(world.policy(rollback={"steps": STEPS}))
    done = world.ctl("check", "--db")
    assert done.returncode == 0 and "4 of 4" in done.stdout, done.stdout + done.stderr
    world.rows("REVOKE DELETE ON session FROM site_rollback")
    done = world.ctl("check", "--db")
    assert done.returncode == 1 and "permission denied for table session" in done.stderr
    assert "GRANT" in done.stderr and "site_rollback" in done.stderr
    assert world.value("SELECT count(*) FROM note") == 0, "nothing is run"
    world.write_policy(world.policy())
    done = world.ctl("check", "--db")
    assert done.returncode == 0 and "no step with a statement" in done.stdout and "0 of 0" not in done.stdout
    world.write_policy(world.policy(rollback={"steps": [dict(STEPS[0], role="nobody_there")]}))
    done = world.ctl("check", "--db")
    assert done.returncode == 1 and "nobody_there" in done.stderr
    world.write_policy(world.policy(rollback={"steps": [dict(STEPS[0], statement="UPDATE user SET version = :to")]}))
    assert world.ctl("check", "--db").returncode == 1


def test_migrate_is_idempotent_and_refuses_a_changed_file(world, tmp_path):
    def migrate(folder):
        return run_ctl("db", "migrate", "--directory", folder, "--conninfo",
                       f"host={world.cluster.root} dbname={world.database} user=postgres")
    done = migrate(ROOT / "sql")
    assert done.returncode == 0 and "nothing to do" in done.stdout + done.stderr
    copy = tmp_path / "sql" / "migrations"
    copy.mkdir(parents=True)
    for file in (ROOT / "sql" / "migrations").glob("*.sql"):
        (copy / file.name).write_bytes(file.read_bytes())
    changed = sorted(copy.glob("*.sql"))[3]
    changed.write_text(changed.read_text() + "-- a change\n")
    done = migrate(tmp_path / "sql")
    assert done.returncode != 0 and changed.name in done.stderr


def test_foreign_text_cannot_steer_the_terminal(world):
    world.start()
    world.deploy("v2", note="\x1b[31mred\x07")
    world.wait(lambda: world.service()["epoch"] == 2, "the deploy to be seen")
    world.wait(lambda: "release.deployed" in world.ctl("events").stdout, "the event in the list")
    for words in (["status"], ["events"], ["explain", SERVICE]):
        assert "\x1b" not in world.ctl(*words).stdout
    assert json.dumps(world.ctl_json("events"))


@pytest.mark.sanitize
def test_the_machine_can_be_drawn():
    done = subprocess.run([BUILD / "rollbackd", "--dump-machine", "dot"], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.count("digraph") >= 1 and "not_recovered" in done.stdout and "suspect" in done.stdout
