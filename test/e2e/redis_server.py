"""A throw-away Redis on a port that the kernel gave."""
import pathlib
import signal
import socket
import subprocess
import tempfile

from waiting import wait_until


class Redis:
    def __init__(self, *more):
        self.temporary = tempfile.TemporaryDirectory(prefix="redis-")
        self.socket = pathlib.Path(self.temporary.name) / "socket"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.more = more
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket", self.socket, "--save", "",
             "--dir", self.temporary.name, *self.more], stdout=subprocess.DEVNULL)
        wait_until(lambda: self.ask("PING"), "Redis to answer")

    def ask(self, line):
        """The beginning of the answer, or nothing while nobody answers."""
        with socket.socket(socket.AF_UNIX) as asking:
            try:
                asking.connect(str(self.socket))
                asking.sendall(line.encode() + b"\r\n")
                return asking.recv(4096).decode()
            except OSError:
                return ""

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        self.kill()
        self.temporary.cleanup()
