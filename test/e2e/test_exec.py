"""The exec probe with the plugins of Debian, and in the daemon: what a program does to itself convicts nobody."""
import json
import os
import pathlib

import pytest

from policies import text_of
from supervisor import SANITIZED
from waiting import wait_until
from world import run_ctl

PLUGINS = pathlib.Path("/usr/lib/nagios/plugins")


def ask(tmp_path, *command, **keys):
    """The probe, once, as rollbackctl shows it."""
    path = tmp_path / "p.conf"
    path.write_text(text_of({"service": "shop", "probes": {"p": {
        "kind": "exec", "command": [str(word) for word in command], "timeout": "5s", **keys}}}))
    path.chmod(0o600)
    done = run_ctl("probe", "shop", "--policy", path, "--json")
    assert done.stderr == "" and done.returncode in (0, 1)
    return json.loads(done.stdout)["probes"][0]


@pytest.mark.parametrize("code, outcome", [(0, "ok"), (1, "ok"), (2, "error"), (3, "no_data")])
def test_dummy(tmp_path, code, outcome):
    shown = ask(tmp_path, PLUGINS / "check_dummy", code, "as told")
    assert shown["outcome"] == outcome and "as told" in shown["words"]


def test_disk(tmp_path):
    shown = ask(tmp_path, PLUGINS / "check_disk", "-w", "0%", "-c", "0%", "-p", "/")
    room = os.statvfs("/")
    assert shown["outcome"] == "ok" and shown["words"].startswith("DISK OK")
    used = (room.f_blocks - room.f_bfree) * room.f_frsize
    assert abs(shown["values"]["/"] - used) < 0.1 * room.f_blocks * room.f_frsize
    full = ask(tmp_path, PLUGINS / "check_disk", "-w", "0%", "-c", "0%", "-p", "/",
               expect={"values": [{"name": "/", "at_most": 1}]})
    assert full["outcome"] == "bad_value"


def test_load_and_a_mistake(tmp_path):
    load = ask(tmp_path, PLUGINS / "check_load", "-w", "1000,1000,1000", "-c", "1000,1000,1000")
    assert load["outcome"] == "ok" and set(load["values"]) == {"load1", "load5", "load15"}
    usage = ask(tmp_path, PLUGINS / "check_disk", "--nonsense")
    assert usage["verdict"] == "unknown"


def test_refused_by_the_target(tmp_path):
    """A plugin that finds its target shut says so, and is believed."""
    shown = ask(tmp_path, PLUGINS / "check_tcp", "-H", "127.0.0.1", "-p", "1", "-t", "2")
    assert (shown["verdict"], shown["outcome"]) == ("bad", "error")


def children_of(pid):
    return [child for task in pathlib.Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()]


@pytest.mark.sanitize
def test_the_daemon(world):
    """A program convicts by its word, and by nothing else; none is left, not even as a zombie."""
    script = world.root / "plugin"

    def play(text):
        fresh = world.root / "plugin.new"
        fresh.write_text("#!/bin/sh\n" + text)
        fresh.chmod(0o755)
        fresh.rename(script)

    play("echo 'FINE | depth=3'")
    world.start(probes={"plugin": {"kind": "exec", "command": [str(script)], "interval": "200ms", "timeout": "200ms",
                                   "rise": 1, "fall": 1}})

    def sampled(outcome, words):
        probe = next(p for p in world.service()["probes"] if p["name"] == "plugin")
        target = probe["targets"][0]
        return target.get("outcome") == outcome and words in target["words"] and target

    world.wait(lambda: sampled("ok", "FINE"), "a good word")
    play("echo BROKEN; exit 2")
    world.wait(lambda: sampled("error", "BROKEN"), "a bad word")
    for text, words in (("sleep 1000", "no end of the program within 200 ms"), ("kill -SEGV $$", "SIGSEGV"),
                        ("env >&2; exit 7", "exit code 7"), ("sleep 1000 & exit 9", "exit code 9"),
                        ("yes", "no end of the program within 200 ms")):
        play(text)
        world.wait(lambda: sampled("local", words), words)
    script.unlink()
    world.wait(lambda: sampled("local", "there is no such program"), "a missing program")
    play("echo FINE")
    world.wait(lambda: sampled("ok", "FINE"), "a good word again")
    script.unlink()
    world.wait(lambda: sampled("local", "there is no such program"), "no program to run")
    wait_until(lambda: children_of(world.daemon.process.pid) == [], "no child to be left")
    wait_until(lambda: world.daemon.metric("process_open_fds") <= world.base["process_open_fds"] + 4,
               "the descriptors to be back")
    assert SANITIZED or world.daemon.metric("process_resident_memory_bytes") < \
        world.base["process_resident_memory_bytes"] + 8 * 1024 * 1024
    assert world.operations_now() == []
