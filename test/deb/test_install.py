"""A fresh install: it works before anything is configured, says what is missing, and is no burden to the host."""
import json
import re

UNITS = "systemctl list-unit-files --no-legend 'rollbackd*.service' | cut -d' ' -f1"


def exposure(host, unit):
    """What systemd-analyze says of a unit as it is installed."""
    # An instance of a template stands for all.
    name = unit.replace("@.", "@example.")
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", host.say(["systemd-analyze", "security", "--no-pager", name]))
    return float(found[1])


def test_it_is_ready_with_nothing_configured_and_says_so(bare, package):
    bare.install(package)
    assert bare.property("ActiveState") == "active" and bare.property("SubState") == "running"
    bare.wait(lambda: "ledger" in bare.status_line(), "the status line")
    line = bare.status_line()
    assert "no ledger" in line and "no policy" in line
    assert line in bare.shown()
    said = bare.ctl("status").stdout
    assert "no ledger" in said and "no policy" in said
    assert bare.run("systemctl --failed --no-legend").stdout == "" and bare.state() == "running"
    assert bare.journal("-p", "warning") == "-- No entries --"
    assert bare.property("UnitFileState") == "enabled" and bare.property("UnitFileState", "rollbackd.socket") == "enabled"
    for unit in bare.say(UNITS).split():
        assert exposure(bare, unit) <= 1.5, unit


def test_owners_and_modes(bare, package):
    bare.install(package)
    places = {
        "/run/rollbackd/rollbackd.sock": "srw-rw---- root rollbackd-admin",
        "/etc/rollbackd": "drwxr-xr-x root root",
        "/etc/rollbackd/rollbackd.conf": "-rw-r--r-- root root",
        "/etc/rollbackd/policies.d": "drwxr-xr-x root root",
        "/etc/rollbackd/secrets": "drwxr-x--- root rollbackd",
        "/var/lib/rollbackd": "drwxr-x--- rollbackd rollbackd",
        "/usr/sbin/rollbackd": "-rwxr-xr-x root root",
    }
    for path, wanted in places.items():
        assert bare.say(["stat", "-c", "%A %U %G", path]) == wanted, path
    process = bare.say("ps -o user= -p $(systemctl show -P MainPID rollbackd) 2>/dev/null || "
                       "stat -c %U /proc/$(systemctl show -P MainPID rollbackd)")
    assert bare.say("awk '/^Uid:/ { print $2 }' /proc/$(systemctl show -P MainPID rollbackd)/status") == bare.say("id -u rollbackd"), process
    assert bare.say("awk '/^CapEff:|^CapBnd:/ { print $2 }' /proc/$(systemctl show -P MainPID rollbackd)/status | sort -u") == "0" * 16


def test_a_reload_needs_no_other_package(bare, package):
    bare.install(package)
    bare.run("systemctl reload rollbackd")
    bare.run("systemctl daemon-reload && systemctl restart rollbackd")
    assert bare.journal("-p", "warning") == "-- No entries --"


def test_loopback_reads_are_open_and_writes_are_not(bare, package):
    bare.install(package)
    assert bare.say("curl -sf http://127.0.0.1:7331/livez", user="nobody") == "ok"
    page = bare.say("curl -sf http://127.0.0.1:7331/metrics")
    # What the sandbox hides must not be missing here.
    for name in ("process_resident_memory_bytes", "process_open_fds", "process_cpu_seconds_total"):
        assert float(re.search(rf"^{name} (\S+)$", page, re.M)[1]) > 0
    assert json.loads(bare.say("curl -s http://127.0.0.1:7331/api/v1/services"))["services"] == []


def test_purge_takes_everything_but_the_database_and_what_people_wrote(site):
    site.put("/etc/rollbackd/secrets/oncall", "secret\n", "0640", "root:rollbackd")
    site.put_policy()
    site.run("DEBIAN_FRONTEND=noninteractive apt-get purge -q -y rollbackd")
    assert site.run("ls /lib/systemd/system/rollbackd* /etc/systemd/system/*/rollbackd* /usr/share/rollbackd /var/lib/rollbackd "
                    "/run/rollbackd /usr/sbin/rollbackd /usr/bin/rollbackctl /etc/rollbackd/rollbackd.conf", check=False).stdout == ""
    assert site.run("systemctl list-units --all --no-legend 'rollbackd*'").stdout == ""
    assert site.value("SELECT rollbackd.active(%s)", "users-api") == "v1"
    assert site.get("/etc/rollbackd/secrets/oncall") == "secret\n"
    assert "users-api" in site.get("/etc/rollbackd/policies.d/users-api.conf")
    assert site.state() == "running"


def test_what_the_administrator_changed_survives_remove_and_reinstall(site, package):
    conf = site.get("/etc/rollbackd/rollbackd.conf") + "/* ours */\n"
    site.put("/etc/rollbackd/rollbackd.conf", conf)
    site.drop_in("ours", "[Service]\nWatchdogSec=20s\n")
    site.run(f"DEBIAN_FRONTEND=noninteractive apt-get install -q -y --reinstall /root/{package.name}")
    assert site.get("/etc/rollbackd/rollbackd.conf") == conf
    site.run("DEBIAN_FRONTEND=noninteractive apt-get remove -q -y rollbackd")
    assert site.run("systemctl is-active rollbackd.service rollbackd.socket", check=False).stdout.split() == ["inactive", "inactive"]
    assert site.get("/etc/rollbackd/rollbackd.conf") == conf
    site.install(package)
    assert site.get("/etc/rollbackd/rollbackd.conf") == conf
    assert site.property("ActiveState") == "active" and site.property("WatchdogUSec") == "20s"
