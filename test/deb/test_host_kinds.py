"""Probes of kinds unit and journal: the daemon in its own sandbox asks a real systemd and reads a real journal."""
import json
import time

LIVING = "[Service]\nExecStart=/bin/sleep infinity\n"
# Ends at once, is started again after a while, without end.
LOOPING = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/false\nRestart=always\nRestartSec=1s\n"
FAILING = "[Service]\nExecStart=/bin/sh -c 'exit 3'\n"
COMPLAINTS = 5
COMPLAIN = """#!/bin/sh
for i in $(seq 0 4); do echo "<$1>request $i failed"; done
"""


def shown(site, probe):
    """What the daemon shows of the targets of one probe."""
    words = ["curl", "-sf", "--unix-socket", "/run/rollbackd/rollbackd.sock", "http://localhost/api/v1/services/users-api"]
    return next(p["targets"] for p in json.loads(site.say(words))["probes"] if p["name"] == probe)


def target(site, probe, unit):
    return next(t for t in shown(site, probe) if t["url"] == unit)


def add_units(site, **units):
    for name, text in units.items():
        site.put(f"/etc/systemd/system/{name}.service", text)
    site.run("systemctl daemon-reload")


def watch(site, **probes):
    """The ordinary policy, and probes that no rule reads."""
    policy = site.policy()
    for name, probe in probes.items():
        policy["probes"][name] = {"interval": "500ms", "rise": 1, "fall": 1, **probe}
    site.put_policy(policy)
    site.run("systemctl reload rollbackd")
    site.wait_known()


def wait_target(site, probe, unit, holds, what):
    def found():
        seen = target(site, probe, unit)
        return seen if seen.get("outcome") and holds(seen) else None
    return site.wait(found, what)


def test_units(site):
    add_units(site, living=LIVING, looping=LOOPING, failing=FAILING)
    site.run("systemctl start living looping --no-block; systemctl start failing --no-block")
    units = [f"{name}.service" for name in ("living", "looping", "failing", "unborn")] + ["multi-user.target"]
    watch(site, services={"kind": "unit", "units": units})
    living = wait_target(site, "services", "living.service", lambda t: t["outcome"] == "ok", "the unit that runs to be good")
    assert living["state"] == "good" and living["values"]["restarts"] == 0 and living["values"]["active_seconds"] > 0
    wait_target(site, "services", "multi-user.target", lambda t: t["outcome"] == "ok", "the target to be good")
    wait_target(site, "services", "failing.service",
                lambda t: t["outcome"] == "bad_state" and t["words"] == "failed (exit-code)", "the failed unit to be bad")
    # Between two starts it is on its way up for ever.
    wait_target(site, "services", "looping.service",
                lambda t: t["outcome"] == "bad_state" and "auto-restart, exit-code" in t["words"] and t["values"]["restarts"] >= 2,
                "the unit that starts again and again to be bad")
    unborn = wait_target(site, "services", "unborn.service", lambda t: True, "the unit that does not exist")
    assert unborn["outcome"] == "local" and "no such unit" in unborn["words"] and unborn["state"] == "unknown"
    site.run("systemctl stop living")
    wait_target(site, "services", "living.service", lambda t: t["state"] == "bad" and t["words"].startswith("inactive"),
                "the stopped unit to be bad")


def test_units_without_a_bus(site):
    add_units(site, living=LIVING)
    site.run("systemctl start living")
    watch(site, services={"kind": "unit", "units": ["living.service"]})
    wait_target(site, "services", "living.service", lambda t: t["outcome"] == "ok", "the unit to be good")
    site.run("systemctl stop dbus.socket dbus.service")
    lost = wait_target(site, "services", "living.service", lambda t: t["outcome"] == "local", "the bus to be missed")
    assert "system bus" in lost["words"] and lost["state"] != "bad"
    assert site.property("ActiveState") == "active"
    site.run("systemctl start dbus.socket dbus.service")
    wait_target(site, "services", "living.service", lambda t: t["outcome"] == "ok", "the bus to be found again")


def test_errors_in_the_journal(site):
    # On its standard output, of which journald knows whose it is also when the writer has gone.
    site.put("/usr/local/bin/complain", COMPLAIN, mode="0755")
    add_units(site, **{"complaining@": "[Service]\nType=oneshot\nExecStart=/usr/local/bin/complain %i\n"})
    urgent, other = "complaining@3.service", "complaining@5.service"
    journal = {"kind": "journal", "units": [urgent, other], "interval": "4s"}
    watch(site, complaints=journal, chosen={**journal, "matches": "request [0-2] failed"})
    for name in ("complaints", "chosen"):
        first = wait_target(site, name, urgent, lambda t: "values" in t, "a probe after the base")
        assert first["outcome"] == "ok" and first["values"] == {"entries": 0, "per_second": 0}
    seen = {"complaints": {}, "chosen": {}}

    def count():
        """What each sample that was seen had, by its rate, which no two share."""
        for name, samples in seen.items():
            values = target(site, name, urgent)["values"]
            samples[values["per_second"]] = values["entries"]
        return sum(seen["complaints"].values()) >= COMPLAINTS and sum(seen["chosen"].values()) >= 3
    site.run(["systemctl", "start", urgent, other])
    site.wait(count, "the errors to be counted")
    assert {name: sum(samples.values()) for name, samples in seen.items()} == {"complaints": COMPLAINTS, "chosen": 3}
    # What is less urgent does not count, and nothing is counted twice.
    assert target(site, "complaints", other)["values"]["entries"] == 0
    wait_target(site, "complaints", urgent, lambda t: t["values"]["entries"] == 0, "errors to be counted once")
    # The journal goes on in another file, and the old ones are thrown away.
    site.run("journalctl --rotate; journalctl --vacuum-files=1")
    site.run(["systemctl", "start", urgent])
    wait_target(site, "complaints", urgent, lambda t: 0 < t["values"]["entries"] <= COMPLAINTS, "errors after a rotation")


def test_a_stopped_journald_and_a_missing_right(site):
    unit = "application.service"
    watch(site, complaints={"kind": "journal", "units": [unit], "expect": {"values": [{"name": "per_second", "at_most": 5.0}]}})
    wait_target(site, "complaints", unit, lambda t: t["outcome"] == "ok", "the journal to be read")
    site.run("systemctl kill --kill-whom=main --signal=STOP systemd-journald")
    stopped = time.monotonic()
    try:
        wait_target(site, "complaints", unit, lambda t: t["outcome"] == "ok" and t["age_seconds"] < time.monotonic() - stopped - 1,
                    "a probe meanwhile")
        assert site.run("curl -sf --unix-socket /run/rollbackd/rollbackd.sock http://localhost/livez").returncode == 0
    finally:
        site.run("systemctl kill --kill-whom=main --signal=CONT systemd-journald")
    site.drop_in("no-journal", "[Service]\nSupplementaryGroups=\n")
    site.run("systemctl restart rollbackd")
    site.wait_known()
    denied = wait_target(site, "complaints", unit, lambda t: True, "a probe without the right")
    assert denied["outcome"] == "local" and "SupplementaryGroups=systemd-journal" in denied["words"] and denied["state"] == "unknown"


def test_pressure_of_the_host_and_of_a_unit(site):
    watch(site, load={"kind": "pressure", "disk": "/var/lib"}, home={"kind": "pressure", "disk": "/home"},
          gone={"kind": "pressure", "cgroup": "system.slice/unborn.service"},
          unit={"kind": "pressure", "cgroup": "system.slice/application.service"})
    host = wait_target(site, "load", "host", lambda t: "cpu_percent" in t.get("values", {}), "the load of the host")
    assert host["outcome"] == "ok" and 0 < host["values"]["disk_percent"] <= 100 and host["values"]["memory_percent"] > 0
    assert "memory_full_avg10" in host["values"]
    unit = wait_target(site, "unit", "system.slice/application.service", lambda t: "cpu_percent" in t.get("values", {}), "a unit's load")
    assert unit["outcome"] == "ok" and {"cpu_some_avg10", "memory_full_avg10", "io_full_avg10"} <= set(unit["values"])
    assert "ProtectHome" in wait_target(site, "home", "host", lambda t: True, "a disk that is hidden")["words"]
    assert target(site, "gone", "system.slice/unborn.service")["outcome"] == "local"
