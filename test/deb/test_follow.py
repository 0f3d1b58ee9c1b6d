"""A follower under the real systemd: it logs in as its own role, its file outlives it, and a drop-in runs a command at each change."""
from site_host import SERVICE

UNIT = f"rollbackd-follow@{SERVICE}.service"
FILE = f"/run/rollbackd-follow/{SERVICE}"
SWITCH = """#!/bin/sh
echo "switched from '$ROLLBACKD_PREVIOUS_VERSION' to $ROLLBACKD_VERSION of $ROLLBACKD_SERVICE, epoch $ROLLBACKD_EPOCH"
"""
COMMAND = """[Service]
ExecStart=
ExecStart=/usr/bin/rollbackctl follow %i --file /run/rollbackd-follow/%i -- /usr/local/bin/users-api-switch
"""


def wait_file(site, version):
    site.wait(lambda: site.run(["cat", FILE], check=False).stdout == f"{version}\n", f"{FILE} to say {version}")


def said(site, *options):
    return site.say(["journalctl", "--no-pager", "-b", "-o", "cat", "-u", UNIT, *options])


def test_the_file_outlives_the_unit_and_comes_back_after_a_reboot(site):
    site.configure_as_db_init_says()
    site.run(["systemctl", "enable", "--now", UNIT])
    # It is started once it is ready, and that is with the first version.
    assert site.get(FILE) == "v1\n"
    assert site.property("SubState", UNIT) == "running" and site.property("StatusText", UNIT) == f"{SERVICE} v1, epoch 1"
    assert site.value("SELECT count(*) FROM pg_stat_activity WHERE usename = 'rollbackd_follow'") == 1
    assert site.say(["stat", "-c", "%U %A", FILE]) == "rollbackd_follow -rw-r--r--"
    site.deploy("v2")
    wait_file(site, "v2")
    site.run(["systemctl", "stop", UNIT])
    assert site.get(FILE) == "v2\n"
    site.deploy("v3")
    assert site.get(FILE) == "v2\n"
    site.run(["systemctl", "start", UNIT])
    assert site.get(FILE) == "v3\n"
    site.power_off()
    assert site.boot() == "running"
    wait_file(site, "v3")
    site.wait(lambda: site.property("ActiveState", UNIT) == "active", "the follower to be ready")
    assert site.run("systemctl --failed --no-legend").stdout == ""


def test_a_drop_in_runs_a_command_at_each_change(site):
    site.configure_as_db_init_says()
    site.put("/usr/local/bin/users-api-switch", SWITCH, "0755")
    site.drop_in("switch", COMMAND, UNIT)
    site.run(["systemctl", "enable", "--now", UNIT])
    assert f"switched from '' to v1 of {SERVICE}, epoch 1" in said(site)
    site.deploy("v2")
    site.wait(lambda: f"switched from 'v1' to v2 of {SERVICE}, epoch 2" in said(site), "the command to be run")
    assert site.get(FILE) == "v2\n"


def test_a_service_that_nobody_registered_fails_the_start_and_says_so(site):
    site.configure_as_db_init_says()
    done = site.run("systemctl start rollbackd-follow@nosuch", check=False)
    assert done.returncode != 0
    site.wait(lambda: "nosuch: the ledger does not know this service; rollbackctl register" in site.say("journalctl --no-pager -b -o cat -u rollbackd-follow@nosuch"), "the reason")
    site.run("systemctl stop rollbackd-follow@nosuch")


def test_a_conninfo_of_somebody_else_is_told_with_what_to_do(site):
    # The one of the site's rollbackd.conf names the daemon's role.
    assert site.run(["systemctl", "start", UNIT], check=False).returncode != 0
    site.wait(lambda: "Environment=ROLLBACKD_CONNINFO=" in said(site) and "systemctl edit" in said(site), "what to do")
    site.drop_in("own", "[Service]\nEnvironment=ROLLBACKD_CONNINFO=dbname=site\n", UNIT)
    site.run(["systemctl", "restart", UNIT])
    assert site.get(FILE) == "v1\n"
