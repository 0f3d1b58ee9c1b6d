"""The real daemon under a fake service manager, asked over both of its sockets."""
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading

from waiting import wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("BUILD", "build/dev")
SANITIZED = "sanitize" in BUILD.name


class ServiceManager:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, path):
        self.path = str(path)
        self.messages = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.thread = threading.Thread(target=self.receive, daemon=True)
        self.thread.start()

    def receive(self):
        while data := self.socket.recv(4096):
            if data == b"END":
                return
            self.messages += data.decode().splitlines()

    def count(self, message):
        return self.messages.count(message)

    def status(self):
        return next((m[7:] for m in reversed(self.messages) if m.startswith("STATUS=")), "")

    def stop(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.sendto(b"END", self.path)
        self.thread.join()
        self.socket.close()


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=10):
        super().__init__("localhost", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()
        self.text = self.body.decode(errors="replace")

    @property
    def json(self):
        return json.loads(self.body)


class Daemon:
    """rollbackd --foreground. Its log goes to a file; /livez is asked all the time while it should
    answer."""

    def __init__(self, conf, folder):
        self.conf = conf
        self.folder = folder
        self.socket = folder / "rollbackd.sock"
        self.log_path = folder / "rollbackd.log"
        self.manager = ServiceManager(folder / "notify")
        self.process = None
        self.environment = {}   # beside that of the tests
        self.prefix = []        # of the command: a host of the test's own
        self.expected = False   # that it answers
        self.starts = 0
        self.unanswered = []
        self.asked = 0
        self.ended = threading.Event()
        self.poller = threading.Thread(target=self.poll, daemon=True)
        self.poller.start()

    def start(self):
        ready = self.manager.count("READY=1")
        # The leak check looks into a process that is not dumpable, which only root may.
        leaks = int(os.getuid() == 0)
        environment = dict(os.environ, NOTIFY_SOCKET=self.manager.path, WATCHDOG_USEC="1000000",
                           ASAN_OPTIONS=f"detect_leaks={leaks}", LC_ALL="C.UTF-8", **self.environment)
        environment.pop("WATCHDOG_PID", None)
        self.offset = self.log_path.stat().st_size if self.log_path.exists() else 0
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([*self.prefix, BUILD / "rollbackd", "--config", self.conf, "--foreground"],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=environment, cwd="/")
        self.starts += 1
        wait_until(lambda: self.manager.count("READY=1") > ready or self.process.poll() is not None, "READY=1")
        assert self.process.poll() is None, self.log()[-4000:]
        self.port = int(re.search(r"http://127\.0\.0\.1:(\d+)", self.log()[self.offset:])[1])
        self.expected = True

    def log(self):
        return self.log_path.read_text(errors="replace")

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.expected = False
        self.process.kill()
        self.process.wait(30)

    def stop(self):
        """SIGTERM; returns the exit status."""
        self.expected = False
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.process.wait(30)

    def reload(self):
        """SIGHUP, awaited as a service manager does."""
        ready, reloading = self.manager.count("READY=1"), self.manager.count("RELOADING=1")
        self.signal(signal.SIGHUP)
        wait_until(lambda: self.manager.count("READY=1") > ready, "READY=1 after a reload")
        assert self.manager.count("RELOADING=1") == reloading + 1

    def ask(self, path, method="GET", body=None, headers=None, local=True, timeout=10):
        connection = UnixConnection(self.socket, timeout) if local else \
            http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            if isinstance(body, dict):
                body, headers = json.dumps(body), {"Content-Type": "application/json", **(headers or {})}
            connection.request(method, path, body, headers or {})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, path):
        answer = self.ask(path)
        assert answer.status == 200, answer.text
        return answer.json

    def metric(self, name):
        found = re.search(rf"^{re.escape(name)} (\S+)$", self.ask("/metrics").text, re.M)
        assert found, f"no sample {name} in /metrics"
        return float(found[1])

    def poll(self):
        while not self.ended.wait(0.1):
            starts = self.starts
            if not self.expected:
                continue
            try:
                status = self.ask("/livez", timeout=5).status
            except (OSError, http.client.HTTPException) as error:
                status = error
            # What a kill or stop interrupted says nothing.
            if self.expected and self.starts == starts:
                self.asked += 1
                if status != 200:
                    self.unanswered.append(status)

    def close(self):
        self.expected = False
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.ended.set()
        self.poller.join()
        self.manager.stop()
