"""Hosts of a test's own: network and mount namespaces, cables between them, programs in them, a name server."""
import json
import os
import pathlib
import signal
import subprocess
import sys

from waiting import wait_until

HERE = pathlib.Path(__file__).resolve().parent
# An ordinary user is root of his own namespaces only.
ROOTLESS = os.getuid() != 0


class Host:
    """Nobody else's: its interfaces, routes and /etc end with it. `prefix` runs a program in it."""

    def __init__(self, parent=None):
        """With a parent, as its mere user: an ordinary user connects only hosts below one and the same."""
        self.programs = []
        enter = parent.prefix if parent else []
        unshare = ["unshare", "--net", "--mount", *(["--user", "--map-root-user"] if ROOTLESS and not parent else [])]
        self.holder = subprocess.Popen([*enter, "setpriv", "--pdeathsig=KILL", *unshare, "sh", "-c", "echo; exec sleep infinity"],
                                       stdout=subprocess.PIPE)
        self.holder.stdout.readline()
        self.pid = self.holder.pid
        self.prefix = ["nsenter", f"--target={self.pid}", *(["--user", "--preserve-credentials"] if ROOTLESS else []),
                       "--net", "--mount"]
        self.run("ip", "link", "set", "lo", "up")

    def run(self, *words):
        done = subprocess.run([*self.prefix, *map(str, words)], capture_output=True, text=True)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

    def start(self, *words):
        """A program that is ended with the host."""
        program = subprocess.Popen([*self.prefix, *map(str, words)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.programs.append(program)
        return program

    def serve(self, address, *behaviours):
        return Servers(self.start(sys.executable, HERE / "hostile.py", address, *behaviours))

    def connect(self, other, here="10.9.0.1", there="10.9.0.2"):
        """A cable to another host; an address that nobody answers for is given up within 100 ms."""
        self.run("ip", "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", other.pid)
        for host, address in ((self, here), (other, there)):
            host.run("ip", "address", "add", f"{address}/24", "dev", "cable")
            host.run("ip", "link", "set", "cable", "up")
            host.run("ip", "ntable", "change", "name", "arp_cache", "dev", "cable", "retrans", "30", "base_reachable", "100",
                     "delay_probe", "10")

    def place(self, path, text, folder):
        """Puts a file of the host's own over one of the machine."""
        own = folder / pathlib.Path(path).name
        own.write_text(text)
        self.run("mount", "--bind", own, path)

    def stop(self):
        for program in self.programs:
            program.send_signal(signal.SIGCONT)
            program.kill()
            program.communicate()
        self.holder.kill()
        self.holder.communicate()


class Servers:
    """hostile.py as a program."""

    def __init__(self, program):
        self.program = program
        self.ports = json.loads(program.stdout.readline())

    def counts(self):
        self.program.stdin.write("\n")
        self.program.stdin.flush()
        return json.loads(self.program.stdout.readline())

    def accepted(self, name):
        return self.counts()["accepted"][name]

    def freeze(self):
        self.program.send_signal(signal.SIGSTOP)
        stat = pathlib.Path(f"/proc/{self.program.pid}/stat")
        wait_until(lambda: stat.read_text().rsplit(")", 1)[1].split()[0] == "T", "the servers to stand still")

    def thaw(self):
        self.program.send_signal(signal.SIGCONT)
