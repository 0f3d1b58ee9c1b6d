"""What goes wrong around rollbackd is named where people look, with what to do; the rest goes on; it is over by itself when mended."""
import pytest
from policies import text_of
from site_host import CONNINFO, SERVICE


def both_say(site, *words):
    """Waits until systemctl status and rollbackctl status say all of the words."""
    def said():
        shown, told = site.shown(), site.ctl("status").stdout
        return all(word in shown and word in told for word in words)
    site.wait(said, f"{words} to be said")


def mended(site):
    site.wait(lambda: "ledger reachable" in site.shown() or "ledger" not in site.status_line(), "the status to be good again")
    site.wait_known()


def test_a_stopped_journald_stops_nothing_and_the_loss_is_told(site):
    site.watch()
    units = "systemd-journald.socket systemd-journald-dev-log.socket systemd-journald-audit.socket systemd-journald.service"
    site.run(f"systemctl stop {units}")
    site.release_bad()
    site.wait_active("v1")
    site.wait_state("recovered")
    assert site.property("ActiveState") == "active"
    site.run("systemctl start systemd-journald.socket systemd-journald-dev-log.socket systemd-journald.service")
    # With the next message that there is.
    site.watch(rollback={"mode": "observe"})
    site.wait(lambda: "log messages were lost" in site.journal(), "the loss to be told")
    assert site.moves() == [("v2", "v1")]


def test_without_postgresql(site):
    site.watch()
    site.run("systemctl stop postgresql@15-main")
    both_say(site, "ledger", "5432")
    site.run("systemctl start postgresql@15-main")
    mended(site)


def test_a_wrong_password(site):
    site.psql("ALTER ROLE rollbackd PASSWORD 'right'")
    site.put("/etc/rollbackd/secrets/ledger", "wrong\n", "0640", "root:rollbackd")
    site.put("/etc/rollbackd/rollbackd.conf", text_of({"ledger": {
        "conninfo": "host=127.0.0.1 dbname=site user=rollbackd", "password_file": "ledger"}}))
    site.put_policy()
    site.run("systemctl restart rollbackd")
    both_say(site, "password authentication failed")
    site.put("/etc/rollbackd/secrets/ledger", "right\n", "0640", "root:rollbackd")
    site.run("systemctl restart rollbackd")
    mended(site)


@pytest.mark.parametrize("owner, mode, why", [("bob:bob", "0644", "owned"), ("root:bob", "0664", "writ")])
def test_a_policy_of_a_user(site, owner, mode, why):
    site.put_policy(name="orders-api", policy=site.policy(service="orders-api"), owner=owner, mode=mode)
    site.put_policy()
    assert site.run("systemctl reload rollbackd", check=False).returncode != 0
    both_say(site, "refused")
    assert "orders-api.conf" in site.ctl("status").stdout and why in site.journal()
    site.wait(lambda: site.service()["known"], "the other service to be watched")
    site.run("chown root:root /etc/rollbackd/policies.d/*.conf && chmod 644 /etc/rollbackd/policies.d/*.conf")
    site.run("systemctl reload rollbackd")
    site.wait(lambda: "refused" not in site.status_line(), "nothing to be refused")


def test_a_role_without_a_grant(site):
    statement = {"kind": "sql", "role": "users_rollback", "statement": "DELETE FROM private WHERE true"}
    site.psql("CREATE TABLE private (n int8)")
    site.put_policy(rollback={"steps": [statement]})
    done = site.ctl("check", "--db", user="rollbackd", check=False)
    assert done.returncode == 1 and "GRANT" in done.stderr and "private" in done.stderr and "users_rollback" in done.stderr
    site.psql("GRANT SELECT, DELETE ON private TO users_rollback")
    assert site.ctl("check", "--db", user="rollbackd").returncode == 0


def test_the_daemons_role_without_its_rights(site):
    site.watch()
    site.psql("REVOKE USAGE ON SCHEMA rollbackd FROM rollbackd")
    site.run("systemctl restart rollbackd")
    both_say(site, "GRANT USAGE ON SCHEMA rollbackd TO rollbackd")
    site.psql("GRANT USAGE ON SCHEMA rollbackd TO rollbackd")
    site.run("systemctl restart rollbackd")
    mended(site)
    assert site.service()["service"] == SERVICE and CONNINFO in site.get("/etc/rollbackd/rollbackd.conf")
