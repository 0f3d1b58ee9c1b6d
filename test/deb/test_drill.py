"""The drill under the real systemd: what fails is seen where an administrator looks, and the week is the timer's."""
from site_host import SERVICE

STEPS = [{"kind": "sql", "atomic": True, "role": "users_rollback", "statement": "UPDATE users SET version = :to WHERE version = :from"}]
UNIT = "rollbackd-drill.service"


def said(site):
    return site.say(["journalctl", "--no-pager", "-b", "-o", "cat", "-u", UNIT])


def succeeded(site):
    return site.rows("SELECT service, succeeded FROM rollbackd.drill_status") == [(SERVICE, True)]


def test_it_succeeds_fails_visibly_and_succeeds_again(site):
    site.deploy("v2")
    site.watch(rollback={"mode": "observe", "steps": STEPS})
    site.run(["systemctl", "start", UNIT])
    assert "drill succeeded: v2 -> v1" in said(site) and succeeded(site)
    site.psql("REVOKE users_rollback FROM rollbackd;")
    assert site.run(["systemctl", "start", UNIT], check=False).returncode != 0
    assert UNIT in site.run("systemctl --failed --no-legend").stdout and not succeeded(site)
    assert "drill failed: 1 reason" in said(site) and "type: GRANT users_rollback TO rollbackd;" in said(site)
    site.psql("GRANT users_rollback TO rollbackd;")
    site.run(["systemctl", "start", UNIT])
    assert site.run("systemctl --failed --no-legend").stdout == "" and succeeded(site)
    assert site.active() == "v2" and site.operations() == []


def test_the_timer_is_listed_and_waits_for_the_week(site):
    row = site.say("systemctl list-timers --no-legend rollbackd-drill.timer")
    assert UNIT in row and "left" in row
    assert site.property("UnitFileState", "rollbackd-drill.timer") == "enabled"


def test_with_no_policy_there_is_nothing_to_fail(site):
    site.run(["systemctl", "start", UNIT])
    assert "no policy: nothing to drill" in said(site)


def test_in_another_role_it_proves_nothing_and_leaves_the_last_result(site):
    site.psql("CREATE ROLE root LOGIN IN ROLE rollbackd_operator;")
    site.deploy("v2")
    site.watch(rollback={"mode": "observe", "steps": STEPS})
    site.run(["systemctl", "start", UNIT])
    done = site.run(["rollbackctl", "drill", "--conninfo", "dbname=site"], check=False)
    assert done.returncode == 7 and "runuser -u rollbackd -- rollbackctl drill" in done.stderr, done.stderr
    assert succeeded(site)
