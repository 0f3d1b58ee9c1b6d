"""The manual's examples that want a host: each is run as root in /root of a site, in the order of the pages, and did what it says."""
import manual_pages
from site_host import SERVICE

SECRETS = "/etc/rollbackd/secrets/users-hook"
# What the service of the examples has, before somebody comes to them.
OBSERVING = {"rollback": {"mode": "observe"}}


def holds_a_secret(site, _):
    assert site.say(["cat", SECRETS], user="rollbackd").startswith("whsec_")
    assert site.run(["cat", SECRETS], user="bob", check=False).returncode != 0
    # It is one that a notice can be signed with, and a drill reads it.
    site.put_policy(**OBSERVING, notify=[{"kind": "webhook", "url": "http://127.0.0.1:8080/hook", "secret_file": "users-hook"}])
    assert "notify 1 webhook" in site.ctl("drill", SERVICE, user="rollbackd").stdout


def has_credentials(site, _):
    assert site.property("ActiveState") == "active"
    for unit in ("rollbackd.service", "rollbackd-drill.service"):
        words = site.say(["systemctl", "cat", unit])
        assert "LoadCredential=ledger:/root/rollbackd-ledger" in words and "LoadCredential=oncall:/root/rollbackd-oncall" in words, unit
    assert site.say("ls /run/credentials/rollbackd.service").split() == ["ledger", "oncall"]


def follows(site, _):
    unit = f"rollbackd-follow@{SERVICE}.service"
    assert site.property("ActiveState", unit) == "active" and site.property("UnitFileState", unit) == "enabled"
    assert site.get(f"/run/rollbackd-follow/{SERVICE}") == site.active() + "\n"


def has_a_ledger(site, _):
    assert site.psql("SELECT version > 0 FROM rollbackd.schema", database="platform") == "t\n"


def is_in_force(site, _):
    site.wait_known()
    assert site.service()["mode"] == "observe"


def says_how_it_is(_, done):
    assert "rollbackd.service - " in done.stdout and "Status: " in done.stdout


def says_what_was_done(_, done):
    assert f"ROLLBACKD_SERVICE={SERVICE}" in done.stdout and "MESSAGE_ID=" in done.stdout


# What an example has done, by a word in it.
EFFECTS = {
    "openssl rand": holds_a_secret,
    "LoadCredential=": has_credentials,
    "rollbackd-follow@": follows,
    "db init": has_a_ledger,
    "install -m": is_in_force,
    "systemctl status": says_how_it_is,
    "journalctl": says_what_was_done,
}


def test_each_example_that_wants_a_host_works_on_one(site):
    site.configure_as_db_init_says()
    site.put_policy(**OBSERVING)
    site.run("mv /etc/rollbackd/policies.d/users-api.conf /root")
    for name in ("ledger", "oncall"):
        site.put(f"/root/rollbackd-{name}", f"the secret of {name}\n", "0600")
    site.deploy("v2")
    examples, seen = manual_pages.examples("host"), []
    assert examples
    for example in examples:
        if "journalctl" in example.text:
            site.release_bad("v3")
            site.wait(lambda: "ROLLBACKD_SERVICE" in site.run(example.text).stdout, "an alert of the service")
        done = site.run(["bash", "-euc", f"cd /root\n{example.text}"], check=False)
        assert done.returncode == 0, f"{example}:\n{example.text}\n{done.stdout}{done.stderr}"
        for word in (word for word in EFFECTS if word in example.text):
            EFFECTS[word](site, done)
            seen.append(word)
        assert site.run("systemctl --failed --no-legend").stdout == "", example
    assert sorted(seen) == sorted(EFFECTS)
