"""Probes that look at this host: how loaded it is, its units, its journal."""
import contextlib
import os
import pathlib
import subprocess
import sys

import pytest
from waiting import wait_until
from world import run_ctl

# test/deb/test_host_kinds.py does more with both, on a booted host.
booted = pytest.mark.skipif(not pathlib.Path("/run/systemd/system").is_dir(), reason="systemd is not PID 1 here")


def start(world, **probes):
    """The ordinary policy, and probes that no rule reads."""
    policy = world.policy()
    for name, probe in probes.items():
        policy["probes"][name] = {"kind": "pressure", "interval": "200ms", "timeout": "200ms", "rise": 1, "fall": 1, **probe}
    world.start(policy)


def limit(name, **limits):
    return {"expect": {"values": [{"name": name, **limits}]}}


def outcome(world, probe, target, wanted):
    def found():
        seen = world.targets()[probe, target]
        return seen if seen.get("outcome") == wanted else None
    return world.wait(found, f"{probe} to be {wanted}")


def test_the_load_of_this_host_is_good_within_the_policys_limits_alone(world):
    start(world, wide={"disk": str(world.root), **limit("disk_percent", at_most=100.0)}, narrow=limit("memory_bytes", at_most=1.0),
          gone={"cgroup": "no/such.slice"}, away={"disk": "/no/such/place"}, without={"cgroup": "no/such.slice", **limit("disk_percent", at_most=1.0)})
    wide = outcome(world, "wide", "host", "ok")
    assert 0 < wide["values"]["disk_percent"] <= 100 and wide["values"]["disk_free_bytes"] > 0
    # The first probe only set a base for it.
    world.wait(lambda: world.targets()["wide", "host"]["values"].get("cpu_percent", -1) >= 0, "the processors' load")
    narrow = outcome(world, "narrow", "host", "bad_value")
    assert narrow["state"] == "bad" and "memory_bytes is " in narrow["words"] and narrow["words"].endswith(", more than 1")
    # What cannot be looked at is nobody's fault.
    for probe, target in (("gone", "no/such.slice"), ("away", "host"), ("without", "no/such.slice")):
        unknown = outcome(world, probe, target, "local")
        assert unknown["state"] == "unknown" and "/such" in unknown["words"]


@contextlib.contextmanager
def group():
    """A control group of the second version, with nothing in it."""
    root = pathlib.Path("/sys/fs/cgroup")
    root = root if (root / "cgroup.controllers").exists() else root / "unified"
    path = root / f"rollbackd-test-{os.getpid()}"
    path.mkdir()
    try:
        yield path
    finally:
        def gone():
            with contextlib.suppress(OSError):
                path.rmdir()
            return not path.exists()
        wait_until(gone, "the control group to be empty")


def test_a_busy_control_group_is_bad_while_it_is_busy(world):
    with group() as path:
        start(world, busy={"cgroup": path.name, **limit("cpu_percent", at_most=2.0)})
        outcome(world, "busy", path.name, "ok")
        child = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        try:
            (path / "cgroup.procs").write_text(str(child.pid))
            assert outcome(world, "busy", path.name, "bad_value")["values"]["cpu_percent"] > 2
        finally:
            child.kill()
            child.wait()
        outcome(world, "busy", path.name, "ok")
    # It is taken away while it is watched.
    assert "no control group" in outcome(world, "busy", path.name, "local")["words"]


def probe_once(tmp_path, probe):
    (tmp_path / "host.conf").write_text(f'service = "host";\nprobes = {{ host = {{ {probe} }}; }};\n')
    return run_ctl("probe", "host", "--policy", tmp_path / "host.conf")


@booted
def test_units_of_a_running_systemd(tmp_path):
    done = probe_once(tmp_path, 'kind = "unit"; units = [ "systemd-journald.service", "no-such-unit.service" ];')
    assert "active_seconds" in done.stdout and "this host has no such unit" in done.stdout and "1 of 2 are good" in done.stdout


@booted
def test_the_journal_of_a_running_systemd(tmp_path):
    done = probe_once(tmp_path, 'kind = "journal"; units = [ "systemd-journald.service" ];')
    assert "the first probe only sets a base" in done.stdout and "1 of 1 are good" in done.stdout
