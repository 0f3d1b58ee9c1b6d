"""rollbackctl follow: the command it runs, and what a person is told."""
import os
import pathlib
import shutil
import signal
import time

import pytest
from follower import BY_NOTICE, RECORD, follow, open_path  # noqa: F401
from world import SERVICE, run_ctl

pytestmark = pytest.mark.sanitize


def test_a_failing_command_is_tried_again(world, follow):
    one = follow("--", "sh", "-c", 'test -e "$0.good" -a "$ROLLBACKD_VERSION" != v2 || exit 3; ' + RECORD, "RUNS")
    one.wait_log("exit code 3; trying again in", 2)
    assert one.manager.count("READY=1") == 0 and "exit code 3" in one.manager.status()
    pathlib.Path(f"{one.runs}.good").touch()
    one.wait_run(f"{SERVICE} v1 1 []")
    one.wait_ready()
    # A new version does not wait for the delay of the old one, which never succeeded.
    world.deploy("v2")
    one.wait_log("version v2: sh: exit code 3")
    world.deploy("v3")
    one.wait_run(f"{SERVICE} v3 3 [v1]")
    killed = follow("--", "sh", "-c", "kill -KILL $$")
    killed.wait_log("signal 9; trying again in")
    absent = follow("--", "/nonexistent/reload")
    absent.wait_log("/nonexistent/reload: No such file or directory; trying again in")
    for follower in (killed, absent):
        assert follower.process.poll() is None and follower.end() == 0


def test_a_hanging_command_is_ended(world, follow):
    tame = follow("--timeout", "300ms", "--", "sh", "-c", RECORD + "; exec sleep 1000", "RUNS")
    wild = follow("--timeout", "300ms", "--", "sh", "-c", RECORD + "; trap '' TERM; while :; do sleep 0.1; done", "RUNS")
    tame.wait_log("no end within 300 ms, ended by SIGTERM; trying again in")
    wild.wait_log("no end within 300 ms, not even after SIGTERM, killed; trying again in")
    assert not tame.manager.count("READY=1") and not wild.manager.count("READY=1")
    tame.wait(lambda: len(tame.lines()) > 1, "another try")


CHILD = 'sleep 1000 & echo $! >>"$0"; wait'
STUBBORN = '(trap "" TERM; exec sleep 1000) & echo $! >>"$0"; wait'


def is_gone(pid):
    try:
        return "\nState:\tZ" in pathlib.Path("/proc", pid, "status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_what_a_command_started_is_ended_with_it(world, follow):
    tame = follow("--timeout", "300ms", "--", "sh", "-c", CHILD, "RUNS")
    wild = follow("--timeout", "300ms", "--", "sh", "-c", STUBBORN, "RUNS")
    leaving = follow("--", "sh", "-c", CHILD, "RUNS")
    for one in (tame, wild):
        one.wait_log("no end within 300 ms, ended by SIGTERM; trying again in")
        assert is_gone(one.lines()[0])
        one.process.send_signal(signal.SIGTERM)
        assert one.end() == 0
        one.wait(lambda: all(map(is_gone, one.lines())), "the end of the next try's child")
    leaving.wait(leaving.lines, "the command")
    leaving.process.send_signal(signal.SIGTERM)
    leaving.wait_log("another signal kills it")
    assert not is_gone(leaving.lines()[0])
    assert leaving.end() == 0
    leaving.wait(lambda: is_gone(leaving.lines()[0]), "the end of what the command had started")
    # What a command that succeeds leaves behind is its own.
    server = follow("--", "sh", "-c", 'sleep 1000 & echo $! >>"$0"', "RUNS")
    server.wait_ready()
    assert not is_gone(server.lines()[0])
    os.kill(int(server.lines()[0]), signal.SIGKILL)


def test_the_newest_is_acted_on_when_a_command_ends(world, follow):
    one = follow("--file", "FILE", "--", "sh", "-c",
                 RECORD + '; while ! test -e "$0.$ROLLBACKD_VERSION"; do sleep 0.05; done', "RUNS")
    one.wait_run(f"{SERVICE} v1 1 []")
    for version in ("v2", "v3", "v4"):
        world.deploy(version)
    one.wait(lambda: "the pointer says v4" in one.manager.status(), "the newest to be read")
    assert one.says("v1"), "the file does not run ahead of the command"
    pathlib.Path(f"{one.runs}.v1").touch()
    pathlib.Path(f"{one.runs}.v4").touch()
    one.wait_run(f"{SERVICE} v4 4 [v1]")
    one.wait(lambda: f"{SERVICE} v4, epoch 4" in one.manager.status(), "its end")
    assert len(one.lines()) == 2 and one.says("v4")


def test_a_storm_of_deploys_ends_at_the_newest(world, follow):
    one = follow("--file", "FILE", "--", "sh", "-c", RECORD, "RUNS")
    one.wait_ready()

    def reads():
        with world.proxy.lock:
            return sum("service_status" in statement for statement in world.proxy.seen)
    before, start = reads(), time.monotonic()
    for i in range(100):
        world.deploy(f"a{i}")
    one.wait_says("a99", BY_NOTICE)
    assert reads() - before <= (time.monotonic() - start) / 0.1 + 2, "ten reads a second at most"
    # All notices of one transaction come at once.
    before = reads()
    with world.connect("ci").transaction() as transaction:
        for i in range(100):
            transaction.connection.execute("SELECT rollbackd.deploy(%s, %s)", (SERVICE, f"b{i}"))
    one.wait_says("b99", BY_NOTICE)
    one.wait(lambda: one.lines()[-1].startswith(f"{SERVICE} b99 201 "), "the run for the newest")
    assert reads() - before < 20, "a hundred notices are a few reads"


def test_an_unwritable_directory_is_said_and_mended(world, follow, open_path):
    user = "nobody" if os.getuid() == 0 else None
    folder = open_path / "closed"
    folder.mkdir(mode=0o555)
    one = follow("--file", folder / "version", "--", "sh", "-c", "true", user=user)
    one.wait_log(f"{folder}/version: Permission denied; trying again in")
    assert one.manager.count("READY=1") == 0
    if user:
        shutil.chown(folder, user)
    folder.chmod(0o755)
    one.wait_ready()
    assert (folder / "version").read_text() == "v1\n"


def test_an_unknown_service(world, follow):
    stranger = follow("--file", "FILE", service="nobody")
    assert stranger.process.wait(30) == 5
    assert "does not know this service" in stranger.log() and not stranger.file.exists()
    one = follow("--file", "FILE")
    one.wait_ready()
    world.rows("SET session_replication_role = replica")
    world.rows("UPDATE rollbackd.service SET name = 'hidden'")
    world.rows("SELECT pg_notify('rollbackd', %s)", f"{SERVICE} 1")
    one.wait_log("does not know this service any more")
    assert one.says("v1") and one.process.poll() is None
    world.rows("UPDATE rollbackd.service SET name = %s", SERVICE)
    world.rows("RESET session_replication_role")
    world.deploy("v2")
    one.wait_says("v2")
    one.wait_log("the ledger knows this service again")


def test_what_a_person_must_mend_first(world, follow):
    conninfo = world.conninfo("stranger")
    denied = follow("--file", "FILE", conninfo=conninfo)
    assert denied.process.wait(30) == 7 and "permission denied" in denied.log()
    absent = follow("--file", "FILE", conninfo=f"{world.conninfo('app')} dbname=nowhere")
    assert absent.process.wait(30) == 1 and "nowhere" in absent.log()
    unread = follow("--file", "FILE", conninfo="pass word=secret")
    assert unread.process.wait(30) == 1 and "secret" not in unread.log()
    for words in ([], ["--file", ""], ["--file", "/tmp/"], ["--file"], ["--json", "--file", "x"], ["--", ""]):
        assert run_ctl("follow", SERVICE, *words).returncode == 2, words


def test_a_ledger_that_comes_late(world, follow):
    world.proxy.cut()
    one = follow("--file", "FILE")
    one.wait_log("nothing is known yet")
    assert not one.file.exists() and one.manager.count("READY=1") == 0
    world.proxy.open()
    one.wait_says("v1")
    one.wait_ready()


def test_signals(world, follow):
    for number in (signal.SIGTERM, signal.SIGINT):
        idle = follow("--file", "FILE")
        idle.wait_ready()
        assert idle.end(number) == 0
    waits = follow("--", "sh", "-c", RECORD + '; while ! test -e "$0.end"; do sleep 0.05; done; echo over >>"$0"', "RUNS")
    waits.wait_run(f"{SERVICE} v1 1 []")
    waits.process.send_signal(signal.SIGTERM)
    waits.wait_log("another signal kills it")
    world.deploy("v2")
    pathlib.Path(f"{waits.runs}.end").touch()
    assert waits.process.wait(30) == 0
    assert waits.lines() == [f"{SERVICE} v1 1 []", "over"], "nothing new is begun"
    hangs = follow("--", "sh", "-c", 'echo $$ >"$0"; exec sleep 1000', "RUNS")
    hangs.wait(lambda: hangs.lines(), "the command")
    assert not is_gone(hangs.lines()[0])
    hangs.process.send_signal(signal.SIGTERM)
    hangs.wait_log("another signal kills it")
    assert hangs.end() == 0
    hangs.wait(lambda: is_gone(hangs.lines()[0]), "the end of the command")


def test_what_a_command_sees(world, follow):
    # The listing's own descriptor is closed when it is looked at.
    program = 'import os, sys\nfound = os.listdir("/proc/self/fd")\nnumbers = [n for n in found if os.path.lexists("/proc/self/fd/" + n)]\n' \
              'open(sys.argv[1] + ".fd", "w").writelines(n + " " + os.readlink("/proc/self/fd/" + n) + "\\n" for n in numbers)'
    one = follow("--", "sh", "-c", '/usr/bin/python3 -c "$PROGRAM" "$0"; env >"$0.env"; ' + RECORD,
                 "RUNS", PROGRAM=program, ROLLBACKD_VERSION="forged", KEPT="yes", LISTEN_FDS="1", LISTEN_PID="1")
    one.wait_run(f"{SERVICE} v1 1 []")
    one.wait_ready()

    def seen(name):
        return pathlib.Path(f"{one.runs}.{name}").read_text()
    descriptors = dict(line.split(" ", 1) for line in seen("fd").splitlines())
    assert descriptors == {"0": "/dev/null", "1": str(one.log_path), "2": str(one.log_path)}, "no socket, nothing spare"
    environment = dict(line.split("=", 1) for line in seen("env").splitlines() if "=" in line)
    assert environment["ROLLBACKD_VERSION"] == "v1" and environment["KEPT"] == "yes"
    assert seen("env").count("ROLLBACKD_VERSION=") == 1
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "LISTEN_FDS", "LISTEN_PID"} & set(environment)
    masks = follow("--", "cat", "/proc/self/status")
    masks.wait_ready()
    status = dict(line.split(":\t", 1) for line in masks.log().splitlines() if ":\t" in line)
    assert int(status["SigBlk"], 16) == 0 and not int(status["SigIgn"], 16) & 1 << (signal.SIGPIPE - 1)
