"""A booted Debian: systemd is its PID 1. Commands run inside; power can be cut.

There is no machined: commands enter the namespaces of PID 1 (the "leader") by nsenter. Every container lives in a control group of
its own, by which all of it is found and killed, also what an earlier run that was killed has left.
"""
import contextlib
import itertools
import os
import pathlib
import shutil
import signal
import subprocess

import trees
from waiting import wait_until

GROUP = "rollbackd-check-"
CLEAN = ["env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "TERM=dumb", "SYSTEMD_PAGER=",
         "SYSTEMD_COLORS=0"]


class Failed(AssertionError):
    pass


def hierarchies():
    """Where control groups are made: cgroup2, and systemd's own hierarchy where both are there."""
    base = pathlib.Path("/sys/fs/cgroup")
    return [base] if (base / "cgroup.procs").exists() else [base / "unified", base / "systemd"]


def groups(name):
    return [path for hierarchy in hierarchies() for path in hierarchy.glob(name)]


def kill_group(group):
    """Kills every process below a control group, and removes it."""
    def gone():
        for path, _, _ in os.walk(group, topdown=False):
            # A process or a group that goes away meanwhile is what is wanted.
            with contextlib.suppress(OSError):
                for pid in (pathlib.Path(path) / "cgroup.procs").read_text().split():
                    os.kill(int(pid), signal.SIGKILL)
            with contextlib.suppress(OSError):
                os.rmdir(path)
        return not group.exists()
    wait_until(gone, f"the control group {group} to be empty")


def sweep():
    """Takes down what a run that was killed has left behind."""
    for group in groups(f"{GROUP}*"):
        if not pathlib.Path(f"/proc/{group.name.removeprefix(GROUP).split('-')[0]}").exists():
            kill_group(group)
    for path in trees.STORE.glob("host-*"):
        if not pathlib.Path(f"/proc/{path.name.split('-')[1]}").exists():
            shutil.rmtree(path)


class Container:
    """One host. `boot`, `power_off` and `cut` as often as wanted; `close` at the end."""

    hosts = itertools.count(1)

    def __init__(self, packages=(), over=None):
        """A bare site with packages in /root, or what another host that was powered off has become."""
        self.name = f"host-{os.getpid()}-{next(self.hosts)}"
        self.group = GROUP + self.name.removeprefix("host-")
        self.nspawn, self.leader = None, None
        self.layer = trees.Layer(trees.STORE / self.name, over and over.layer)
        for package in packages:
            self.layer.fetch(package)

    # Power.

    def boot(self):
        """Returns once systemd says that the system is up; what it is then ("running", "degraded")."""
        assert self.nspawn is None
        for hierarchy in hierarchies():
            (hierarchy / self.group).mkdir(exist_ok=True)
        with open(trees.STORE / "console.log", "wb") as log:
            words = self.layer.nspawn("--private-network", f"--machine={self.name}", "--hostname=host", "--boot")
            self.nspawn = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                                           preexec_fn=self.enter_group)
        self.leader = wait_until(self.find_leader, "systemd-nspawn to start a PID 1")
        wait_until(lambda: self.state() in ("initializing", "starting", "running", "degraded"), "PID 1 to answer")
        return self.state("--wait")

    def state(self, *options):
        return self.run(["systemctl", "is-system-running", *options], check=False).stdout.strip()

    def enter_group(self):
        for hierarchy in hierarchies():
            (hierarchy / self.group / "cgroup.procs").write_text(str(os.getpid()))

    def find_leader(self):
        if self.nspawn.poll() is not None:
            raise Failed("systemd-nspawn ended: " + (trees.STORE / "console.log").read_text(errors="replace")[-3000:])
        children = pathlib.Path(f"/proc/{self.nspawn.pid}/task/{self.nspawn.pid}/children").read_text().split()
        for pid in children:
            # The leader is PID 1 of its own namespace; before it is systemd, it is a part of systemd-nspawn.
            with contextlib.suppress(FileNotFoundError):
                status = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
                names = dict(row.split(":\t", 1) for row in status if ":\t" in row)
                if names["NSpid"].split()[-1] == "1" and names["Name"] == "systemd":
                    return int(pid)
        return None

    def power_off(self):
        self.run("systemctl poweroff", check=False)
        self.gone()

    def cut(self):
        """The power cord is pulled: PID 1 is killed, and the kernel takes everything else with it."""
        os.kill(self.leader, signal.SIGKILL)
        self.gone()

    def gone(self):
        self.nspawn.wait(timeout=90)
        self.nspawn = self.leader = None
        for group in groups(self.group):
            kill_group(group)

    def close(self, keep=False):
        for group in groups(self.group):
            kill_group(group)
        if self.nspawn:
            self.nspawn.wait(timeout=30)
            self.nspawn = None
        shutil.rmtree(f"/run/systemd/nspawn/propagate/{self.name}", ignore_errors=True)
        if keep:
            trees.say(f"kept what the host wrote: {self.layer.path}/upper")
        else:
            shutil.rmtree(self.layer.path)

    # Commands and files inside.

    def command(self, words, user=None):
        """The words that run a command inside from outside; as a user of the host inside."""
        enter = ["nsenter", "-t", self.leader, "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w", "--"]
        # No session is opened: what counts is who asks, and of which groups.
        become = ["sh", "-c", 'user=$1; shift; exec setpriv --reuid="$user" --regid="$(id -g "$user")" --init-groups -- "$@"', "become",
                  user] if user else []
        script = ["sh", "-c", words] if isinstance(words, str) else words
        return [str(word) for word in enter + CLEAN + become + script]

    def start(self, words, user=None, **keywords):
        """Begins a command inside; the caller waits for it."""
        return subprocess.Popen(self.command(words, user), text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, **keywords)

    def run(self, words, user=None, check=True, input=None, seconds=120):
        """A shell's line or a list of words, as root or a user."""
        done = subprocess.run(self.command(words, user), text=True, input=input or "", capture_output=True, timeout=seconds)
        if check and done.returncode != 0:
            raise Failed(f"{words}: exit {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
        return done

    def say(self, words, **keywords):
        """What a command prints, without the last newline."""
        return self.run(words, **keywords).stdout.rstrip("\n")

    def put(self, path, text, mode="0644", owner="root:root"):
        user, group = owner.split(":")
        self.run(["sh", "-c", 'umask 077; mkdir -p -m 755 "$(dirname "$1")"; cat >"$1.new"; chown "$2:$3" "$1.new"; chmod "$4" "$1.new"; '
                  'mv "$1.new" "$1"', "put", path, user, group, mode], input=text)

    def get(self, path):
        return self.run(["cat", path]).stdout
