"""A follower as a process of its own, and the fixtures that start some."""
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

import pytest
from supervisor import BUILD, ServiceManager
from waiting import wait_until
from world import SERVICE

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
        # Another user may not reach the folder of the build.
        program = shutil.copy(BUILD / "rollbackctl", folder) if user else BUILD / "rollbackctl"
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen([program, "follow", service, *words], cwd="/", env=environment,
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
