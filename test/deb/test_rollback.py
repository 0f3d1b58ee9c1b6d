"""The way of README to a working host, and the main job on it."""
STEPS = [
    {"kind": "sql", "atomic": True, "role": "users_rollback", "statement": "UPDATE users SET version = :to WHERE version = :from"},
    {"kind": "sql", "role": "users_rollback", "statement": "INSERT INTO note (text) VALUES (:from || '>' || :to::text)"},
]


def test_from_a_ledger_to_a_watched_service(site):
    site.put_policy(rollback={"steps": STEPS})
    # As the daemon logs in: with its account and its secrets.
    done = site.ctl("check", "--db", user="rollbackd")
    assert "2 of 2 statements can be run by the daemon" in done.stdout
    site.run("systemctl reload rollbackd")
    site.wait_known()
    service = site.service()
    assert service["version"] == "v1" and service["mode"] == "automatic"
    site.deploy("v2")
    site.wait(lambda: site.service()["version"] == "v2", "the deploy to be seen")
    assert site.active() == "v2"


def test_a_bad_release_is_rolled_back_and_explained(site):
    site.psql("INSERT INTO users VALUES (1, 'v2'), (2, 'v0')")
    site.watch(rollback={"steps": STEPS})
    site.release_bad()
    site.wait_active("v1")
    operation = site.wait_state("recovered")
    assert site.moves() == [("v2", "v1")]
    assert site.rows("SELECT version FROM users ORDER BY id") == [("v1",), ("v0",)]
    assert site.rows("SELECT text FROM note") == [("v2>v1",)]
    told = site.ctl("explain", operation["id"]).stdout
    assert "rollback v2 -> v1" in told and "rule errors: 50% > 5.0%" in told
    entries = site.entries("ROLLBACKD_OPERATION=" + operation["id"])
    assert entries and all(e["SYSLOG_IDENTIFIER"] == "rollbackd" and e["_SYSTEMD_UNIT"] == "rollbackd.service" for e in entries)
    # The catalog says what to do about it.
    explained = site.say(["journalctl", "--no-pager", "-b", "-x", "-u", "rollbackd", f"ROLLBACKD_OPERATION={operation['id']}"])
    assert "rollbackctl explain" in explained and "rollbackctl restore" in explained
