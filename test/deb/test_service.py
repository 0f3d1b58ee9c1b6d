"""What only a real service manager shows: the watchdog, its sockets over a restart, reloads that fail, credentials."""
import json
import re

from policies import text_of
from site_host import CONNINFO

BAD_POLICY = 'service = "orders-api";\nprobes = {\n  live = { kind = "nothing"; };\n};\n'
# Connects without pause until the file /run/enough is there; one line per answer, and at the end how many.
CONNECTS = r"""
import http.client, os, socket, sys
answers = 0
while not os.path.exists("/run/enough"):
    connection = http.client.HTTPConnection("localhost", timeout=30)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(30)
    try:
        connection.sock.connect("/run/rollbackd/rollbackd.sock")
        connection.request("GET", "/livez")
        status = connection.getresponse().status
        if status != 200:
            sys.exit(f"answered {status} after {answers}")
        answers += 1
        if answers == 1:
            open("/run/begun", "w").close()
    except (OSError, http.client.HTTPException) as error:
        sys.exit(f"{error!r} after {answers}")
    connection.close()
print(answers)
"""


def restarts(site):
    return int(site.property("NRestarts"))


def pid(site):
    return int(site.property("MainPID"))


def test_the_watchdog_kills_a_stopped_daemon_and_the_operation_goes_on(site):
    site.drop_in("watchdog", "[Service]\nWatchdogSec=2s\n")
    site.run("systemctl restart rollbackd")
    site.watch(rollback={"verify": "20s"})
    site.release_bad()
    site.wait_active("v1")
    site.wait_state("verifying")
    stopped = pid(site)
    site.run("systemctl kill --kill-whom=main --signal=STOP rollbackd")
    site.wait(lambda: restarts(site) == 1 and site.property("ActiveState") == "active" and pid(site) not in (0, stopped),
              "the unit to come back", 30)
    assert "Watchdog timeout" in site.journal()
    operation = site.wait_state("recovered")
    assert site.moves() == [("v2", "v1")] and operation["to_version"] == "v1"
    # From the missed watchdog to the end of the process: a stopped process takes no signal but the last one.
    at = {e["MESSAGE"]: int(e["__MONOTONIC_TIMESTAMP"]) for e in site.entries("--system") if isinstance(e["MESSAGE"], str)}
    missed = next(t for m, t in at.items() if "Watchdog timeout" in m)
    ended = next(t for m, t in at.items() if "Main process exited" in m and t >= missed)
    print(json.dumps({"figure": "watchdog to the end of a stopped process", "seconds": (ended - missed) / 1e6}))
    assert "Failed with result 'watchdog'" in site.journal()


def test_nobody_is_refused_over_a_restart(site):
    site.put("/root/connects.py", CONNECTS)
    client = site.start(["python3", "/root/connects.py"])
    try:
        site.wait(lambda: site.run("test -e /run/begun", check=False).returncode == 0, "the first answer")
        socket = site.say("stat -c %i /run/rollbackd/rollbackd.sock")
        for _ in range(5):
            site.run("systemctl restart rollbackd")
        site.run("touch /run/enough")
        out, err = client.communicate(timeout=60)
    finally:
        client.kill()
    assert client.returncode == 0, err
    assert int(out) > 5
    assert site.say("stat -c %i /run/rollbackd/rollbackd.sock") == socket


def test_the_first_connection_starts_a_stopped_daemon(site):
    site.run("systemctl stop rollbackd")
    assert site.property("ActiveState") == "inactive"
    assert "/run/rollbackd/rollbackd.sock" in site.run("ls /run/rollbackd/rollbackd.sock").stdout
    assert site.ctl("status", user="alice").returncode == 0
    assert site.property("ActiveState") == "active"


def test_a_reload_with_a_bad_policy_fails_visibly_and_the_good_ones_are_in_force(site):
    site.watch()
    site.put_policy(BAD_POLICY, name="orders-api")
    changed = site.policy(rollback={"mode": "observe"})
    site.put_policy(changed)
    assert site.run("systemctl reload rollbackd", check=False).returncode != 0
    place = r"/etc/rollbackd/policies\.d/orders-api\.conf:3"
    assert re.search(place, site.journal("-n", "50")) and re.search(place, site.shown())
    site.wait(lambda: site.service()["mode"] == "observe", "the good policy to be in force")
    assert "refused" in site.status_line() and "orders-api" in site.ctl("status").stdout
    # The last good policy of a file that has become bad stays.
    site.put_policy(text_of(changed).replace('"observe"', '"perhaps"'))
    assert site.run("systemctl reload rollbackd", check=False).returncode != 0
    assert site.service()["mode"] == "observe"
    site.put_policy()
    site.run("rm /etc/rollbackd/policies.d/orders-api.conf")
    site.run("systemctl reload rollbackd")
    site.wait(lambda: site.service()["mode"] == "automatic" and "refused" not in site.status_line(), "everything to be good")


def test_a_reload_with_a_bad_configuration_fails_visibly_and_it_goes_on(site):
    site.watch()
    before = pid(site)
    site.put("/etc/rollbackd/rollbackd.conf", 'ledger = {\n  conninfo = "host=/var/run/postgresql";\n  pasword = "x";\n};\n')
    assert site.run("systemctl reload rollbackd", check=False).returncode != 0
    assert "/etc/rollbackd/rollbackd.conf:3" in site.journal() and "/etc/rollbackd/rollbackd.conf:3" in site.shown()
    assert pid(site) == before and "1 service" in site.status_line()
    # The file cannot say where the daemon listens: who must act now is not kept from it.
    said = site.ctl("status")
    assert "rollbackd.conf:3" in said.stderr and "asking at /run/rollbackd/rollbackd.sock" in said.stderr and "users-api" in said.stdout


def test_a_bad_configuration_ends_with_78_and_is_not_tried_again(site):
    site.put("/etc/rollbackd/rollbackd.conf", "ledger = {\n  pasword = 1;\n};\n")
    assert site.run("systemctl restart rollbackd", check=False).returncode != 0
    site.wait(lambda: site.property("ActiveState") == "failed", "the unit to have failed")
    assert site.property("ExecMainStatus") == "78" and restarts(site) == 0
    assert "/etc/rollbackd/rollbackd.conf:2" in site.shown()
    # What connects meanwhile is not a reason to try for ever.
    site.ctl("status", "--timeout", "5s", check=False)
    site.wait(lambda: site.property("ActiveState") == "failed", "the unit to have failed again")
    assert site.entries("MESSAGE_ID=7ad2d189f7e94e70a38c781354912448") == [] or restarts(site) <= 5
    site.put("/etc/rollbackd/rollbackd.conf", text_of({"ledger": {"conninfo": CONNINFO}}))
    site.run("systemctl restart rollbackd.socket rollbackd.service")
    assert site.property("ActiveState") == "active"
    assert site.ctl("status").returncode == 0


def test_a_credential_is_the_ledgers_password_and_is_seen_nowhere(site):
    password = "Corr3ct-horse-battery"
    site.psql(f"ALTER ROLE rollbackd PASSWORD '{password}'")
    site.put("/root/ledger-password", password + "\n", "0600")
    site.put("/etc/rollbackd/rollbackd.conf", text_of({"ledger": {
        "conninfo": "host=127.0.0.1 dbname=site user=rollbackd", "password_file": "ledger"}}))
    site.drop_in("ledger", "[Service]\nLoadCredential=ledger:/root/ledger-password\n")
    site.run("systemctl restart rollbackd")
    site.watch()
    assert site.value("SELECT count(*) > 0 FROM pg_stat_activity WHERE usename = 'rollbackd' AND client_addr IS NOT NULL")
    main = pid(site)
    seen = "\n".join([site.say("systemctl show rollbackd"), site.say(f"tr '\\0' '\\n' </proc/{main}/environ"), site.journal(),
                      site.say(f"tr '\\0' ' ' </proc/{main}/cmdline"), site.shown(), site.ctl("status", "--json").stdout,
                      site.say("curl -s http://127.0.0.1:7331/metrics")])
    assert password not in seen and "rollbackd" in seen
    # A reload checks the same files as the same user; it has the credential too.
    site.run("systemctl reload rollbackd")


def test_it_waits_calmly_for_a_database_that_starts_later(site):
    site.put_policy()
    site.run("systemctl stop postgresql@15-main && systemctl restart rollbackd")
    site.wait(lambda: "ledger" in site.status_line() and "connecting" not in site.status_line(), "the loss to be told")
    assert site.property("ActiveState") == "active"
    site.run("systemctl start postgresql@15-main")
    site.wait_known()
    assert restarts(site) == 0


def test_boot_brings_everything_up_by_itself(site):
    site.watch()
    site.power_off()
    assert site.boot() == "running"
    site.wait_known()
    assert restarts(site) == 0 and site.service()["version"] == "v1"


def test_a_stop_is_quick_and_clean(site):
    site.watch()
    site.run("systemctl stop rollbackd", seconds=20)
    assert site.property("Result") == "success" and site.property("ExecMainStatus") == "0"
    assert "rollbackd has stopped" in site.journal()


def test_many_restarts_in_a_row_leave_the_sockets(site):
    for _ in range(8):
        site.run("systemctl stop rollbackd rollbackd.socket && systemctl start rollbackd")
    assert site.property("ActiveState", "rollbackd.socket") == "active"
    assert site.ctl("status", user="alice").returncode == 0


def test_without_its_sockets_it_says_so_instead_of_being_killed(site):
    site.run("systemctl stop rollbackd.socket rollbackd && systemctl mask --runtime rollbackd.socket")
    site.run("systemctl start rollbackd", check=False)
    site.wait(lambda: "http.socket /run/rollbackd/rollbackd.sock could not be opened" in site.journal(), "the reason")
    assert "status=31/SYS" not in site.journal()
    site.run("systemctl unmask --runtime rollbackd.socket && systemctl restart rollbackd.socket rollbackd")
    assert site.property("ActiveState") == "active"
