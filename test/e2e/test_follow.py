"""rollbackctl follow: a file and a command that go where the pointer goes."""
import contextlib
import os
import pathlib
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
import time

import pytest
from ledger_support import Cluster
from proxy import GATHER, PASS
from supervisor import BUILD, ServiceManager
from waiting import stays, wait_until
from world import SERVICE, run_ctl

pytestmark = pytest.mark.sanitize
# Less than it takes until the pointer is read again without a notice.
BY_NOTICE = 8
# One line per run, in one write.
RECORD = 'printf "%s %s %s [%s]\\n" "$ROLLBACKD_SERVICE" "$ROLLBACKD_VERSION" "$ROLLBACKD_EPOCH" ' \
         '"$ROLLBACKD_PREVIOUS_VERSION" >>"$0"'


class Follower:
    """rollbackctl follow under a fake service manager, with a folder of its own."""

    def __init__(self, folder, conninfo, *words, service=SERVICE, user=None, **environment):
        self.folder = folder
        self.file = folder / "version"
        self.runs = folder / "runs"
        self.log_path = folder / "log"
        self.manager = ServiceManager(folder / "notify")
        if user:
            shutil.chown(folder / "notify", user)
        words = [str(word).replace("FILE", str(self.file)).replace("RUNS", str(self.runs)) for word in words]
        leaks = int(os.getuid() == 0 and not user)
        environment = {**os.environ, "NOTIFY_SOCKET": self.manager.path, "ROLLBACKD_CONNINFO": conninfo,
                       "WATCHDOG_USEC": "1000000", "ASAN_OPTIONS": f"detect_leaks={leaks}", **environment}
        # Our parent left a descriptor open, and ignores SIGPIPE as a service manager does.
        spare = os.open("/dev/null", os.O_RDONLY)
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen([BUILD / "rollbackctl", "follow", service, *words], cwd="/", env=environment,
                                            stdin=subprocess.PIPE, stdout=log, stderr=log, user=user, pass_fds=[spare],
                                            restore_signals=False)
        os.close(spare)

    def log(self):
        return self.log_path.read_text(errors="replace")

    def wait(self, condition, what, seconds=30):
        return wait_until(condition, lambda: f"{what() if callable(what) else what}; {self.log()[-2000:]}", seconds)

    def says(self, version):
        with contextlib.suppress(FileNotFoundError):
            return self.file.read_text() == version + "\n"

    def wait_says(self, version, seconds=30):
        self.wait(lambda: self.says(version), f"the file to say {version}", seconds)

    def lines(self):
        return self.runs.read_text().splitlines() if self.runs.exists() else []

    def wait_run(self, line):
        self.wait(lambda: line in self.lines(), lambda: f"the run {line} in {self.lines()}")

    def wait_log(self, words, count=1, seconds=30):
        self.wait(lambda: self.log().count(words) >= count, f"{count} times {words!r}", seconds)

    def wait_ready(self):
        self.wait(lambda: self.manager.count("READY=1") > 0, "READY=1")

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(30)

    def stop(self):
        if self.process.poll() is None:
            # Killed, it cannot end its command, whose group has the command's number.
            running = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
            self.process.kill()
            self.process.wait()
            for group in running:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(int(group), signal.SIGKILL)
        self.process.stdin.close()
        self.manager.stop()


@pytest.fixture
def open_path():
    """A folder that every user can reach, as tmp_path cannot be."""
    with tempfile.TemporaryDirectory(prefix="follow-") as name:
        os.chmod(name, 0o755)
        yield pathlib.Path(name)


@pytest.fixture
def follow(world, open_path):
    """Starts followers of users-api, which is at v1, through the world's proxy as a reader."""
    world.call("register", SERVICE, "v1", True, "known good")
    made = []

    def start(*words, **keywords):
        folder = open_path / str(len(made))
        folder.mkdir()
        made.append(Follower(folder, keywords.pop("conninfo", world.conninfo("app")), *words, **keywords))
        return made[-1]
    yield start
    for follower in made:
        follower.stop()


def test_a_deploy_and_both_ways_back(world, follow):
    both = follow("--file", "FILE", "--", "sh", "-c", RECORD, "RUNS")
    both.wait_run(f"{SERVICE} v1 1 []")
    both.wait_ready()
    assert both.says("v1"), "the file comes first"
    world.start()
    world.release_bad("v2")
    both.wait_run(f"{SERVICE} v2 2 [v1]")
    world.wait_state("recovered")
    both.wait_run(f"{SERVICE} v1 3 [v2]")
    both.wait_says("v1")
    world.deploy("v3")
    both.wait_says("v3")
    world.call("rollback", SERVICE, "by hand")
    both.wait_run(f"{SERVICE} v1 5 [v3]")
    both.wait_says("v1")
    both.wait(lambda: f"{SERVICE} v1, epoch 5" in both.manager.status(), "the status line")
    assert len(both.lines()) == 5 and both.manager.count("READY=1") >= 1
    assert both.end() == 0


def test_the_file_is_never_empty_or_partial(world, follow):
    one = follow("--file", "FILE")
    one.wait_says("v1")
    seen, wrong, ended = set(), [], threading.Event()
    versions = ["w" * 50 + str(i) for i in range(30)]
    right = {"v1\n"} | {version + "\n" for version in versions}

    def read():
        while not ended.is_set():
            text = one.file.read_text()
            seen.add(text)
            if text not in right:
                wrong.append(text)
    reader = threading.Thread(target=read)
    reader.start()
    try:
        for version in versions:
            world.deploy(version)
            one.wait_says(version, BY_NOTICE)
    finally:
        ended.set()
        reader.join()
    assert not wrong and len(seen) > 5
    assert [path.name for path in one.folder.iterdir() if "version" in path.name] == ["version"], "nothing is left"


def test_the_file_keeps_its_place(world, follow):
    """0644 less the umask; left alone when it already says so."""
    before = os.umask(0o027)
    try:
        one = follow("--file", "FILE")
    finally:
        os.umask(before)
    one.wait_ready()
    assert stat.S_IMODE(one.file.stat().st_mode) == 0o640
    first = one.file.stat()
    assert one.end() == 0
    two = follow("--file", one.file)
    two.wait_ready()
    assert (one.file.stat().st_ino, one.file.stat().st_mtime_ns) == (first.st_ino, first.st_mtime_ns)


def test_a_file_that_somebody_took_away_is_written_again(world, follow):
    one = follow("--file", "FILE", "--", "sh", "-c", RECORD, "RUNS")
    one.wait_ready()

    def look():
        world.rows("SELECT pg_notify('rollbackd', %s)", f"{SERVICE} 1")
    one.file.unlink()
    one.wait_says("v1")
    one.wait_log(f"{one.file} did not say version v1 any more: written again")
    one.file.write_text("v0\n")
    look()
    one.wait_says("v1")
    one.file.unlink()
    one.file.mkdir()
    look()
    one.wait_log(f"{one.file} does not say version v1 any more, and cannot be written: Is a directory")
    one.wait(lambda: "Is a directory" in one.manager.status(), "the status line")
    look()
    one.file.rmdir()
    look()
    one.wait_says("v1")
    one.wait_log("written again", 3)
    one.wait(lambda: one.manager.status() == f"{SERVICE} v1, epoch 1", "the status line")
    assert one.log().count("Is a directory") == 1, "said once"
    assert len(one.lines()) == 1, "the command has nothing new to do"


def test_a_cut_off_follower_stays_and_catches_up(world, follow):
    one = follow("--file", "FILE", "--", "sh", "-c", RECORD, "RUNS")
    one.wait_ready()
    world.proxy.cut()
    one.wait_log("the ledger is away, all stays as it is")
    one.wait(lambda: "the ledger is away" in one.manager.status(), "the status line")
    world.deploy("v2")
    world.deploy("v3")
    stays(lambda: one.says("v1") and one.process.poll() is None, "the file, and the follower", 3)
    world.proxy.open()
    one.wait_says("v3")
    one.wait_run(f"{SERVICE} v3 3 [v1]")
    one.wait_log("the ledger is back")
    assert one.log().count("the ledger is away") == 1, "said once"
    assert len(one.lines()) == 2
    world.proxy.drop()
    one.wait_log("the ledger is back", 2)
    assert len(one.lines()) == 2, "a lost connection is no reason to act"


def test_a_server_that_restarts(follow):
    cluster = Cluster()
    try:
        cluster.make_ledger()

        def call(function, *arguments, user="ci"):
            with cluster.connect("ledger", user) as connection:
                places = ", ".join(["%s"] * len(arguments))
                connection.execute(f"SELECT rollbackd.{function}({places})", arguments)
        call("register", SERVICE, "v1", True, "known good", user="alice")
        one = follow("--file", "FILE", conninfo=f"host={cluster.root} dbname=ledger user=app")
        one.wait_says("v1")
        cluster.quit()
        one.wait_log("the ledger is away")
        cluster.start()
        call("deploy", SERVICE, "v2")
        one.wait_says("v2")
        one.wait_log("the ledger is back")
    finally:
        cluster.stop()


def test_a_silent_connection_is_given_up(world, follow):
    one = follow("--file", "FILE")
    one.wait_says("v1")
    world.proxy.stall()
    one.wait_log("the ledger is away", seconds=60)
    world.deploy("v2")
    world.proxy.drop()
    world.proxy.flow()
    one.wait_says("v2", 60)


def test_a_missed_notice_is_found_by_reading_again(world, follow):
    """The pointer is moved without a notice; ten seconds later it is read again."""
    one = follow("--file", "FILE")
    one.wait_ready()
    world.rows("CREATE FUNCTION pg_temp.silent() RETURNS void LANGUAGE sql AS $$"
               "INSERT INTO rollbackd.release SELECT (jsonb_populate_record(r, jsonb_build_object("
               "'epoch', r.epoch + 1, 'version', 'v2'))).* FROM rollbackd.release r;"
               "UPDATE rollbackd.service SET epoch = epoch + 1, active = 'v2' $$")
    world.rows("SET session_replication_role = replica")
    world.rows("SELECT pg_temp.silent()")
    world.rows("RESET session_replication_role")
    one.wait_says("v2")


def test_a_notice_that_comes_with_an_answer(world, follow):
    """In one piece behind an answer that is older than it."""
    one = follow("--file", "FILE")
    one.wait_ready()
    caught = []

    def gather(connection, sql):
        if caught or "service_status" not in sql:
            return PASS
        caught.append(connection)
        return GATHER
    world.proxy.hook = gather
    world.rows("SELECT pg_notify('rollbackd', %s)", f"{SERVICE} 1")
    one.wait(lambda: caught and (caught[0].gathered or b"")[-6:-1] == b"Z\0\0\0\5", "the answer")
    world.deploy("v2")
    one.wait(lambda: f"{SERVICE} 2".encode() in caught[0].gathered, "the notice")
    caught[0].release()
    one.wait_says("v2", BY_NOTICE)


def test_an_older_ledger_is_followed_too(world, follow):
    one = follow("--file", "FILE", "--", "sh", "-c", RECORD, "RUNS")
    one.wait_ready()
    world.deploy("v2")
    one.wait_run(f"{SERVICE} v2 2 [v1]")
    world.rows("SET session_replication_role = replica")
    world.rows("DELETE FROM rollbackd.release WHERE epoch = 2")
    world.rows("UPDATE rollbackd.service SET epoch = 1, active = 'v1'")
    world.rows("RESET session_replication_role")
    world.rows("SELECT pg_notify('rollbackd', %s)", f"{SERVICE} 1")
    one.wait_run(f"{SERVICE} v1 1 [v2]")
    assert one.says("v1") and "the epoch went back from 2 to 1" in one.log()


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
